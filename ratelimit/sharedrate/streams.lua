-- Counts the open streams of a key.
-- KEYS: 1 counts by gate, each with the end of its lease in ms, 2 counts by gate and visitor
-- ARGV: 1 operation, 2 time in ms, or "": the server's, 3 gate, 4 lease in ms, then
--   acquire: limit of the key, limit of the visitor, ID of the visitor, further IDs that it has on other days.
--     Returns 0 if the stream is counted, 1 if the limit of the key is reached, 2 if that of the visitor is.
--   release: visitor, number, ... Returns the streams of the gate, or -1 if they are unknown, as the following does.
--   renew
--   set: number of streams, then visitor, number, ...; replaces what is known of the gate
local ID = 16 -- length of the ID of a visitor
local operation, gate, lease = ARGV[1], ARGV[3], tonumber(ARGV[4])
local now = tonumber(ARGV[2])
if not now then
	local t = redis.call('TIME')
	now = t[1] * 1000 + math.floor(t[2] / 1000)
end

local function write(count)
	if count > 0 then
		redis.call('HSET', KEYS[1], gate, string.format('%d %.0f', count, now + lease))
	else
		redis.call('HDEL', KEYS[1], gate)
	end
	redis.call('PEXPIRE', KEYS[1], 2 * lease)
	redis.call('PEXPIRE', KEYS[2], 2 * lease)
	return count
end

local function read(text)
	local count, ends = string.match(text, '^(%d+) (%d+)$')
	return tonumber(count), tonumber(ends)
end

-- forget removes the visitors of gates, which are keys of a table.
local function forget(gates)
	for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
		if gates[string.sub(field, 1, -ID - 1)] then redis.call('HDEL', KEYS[2], field) end
	end
end

if operation == 'acquire' then
	local keyLimit, visitorLimit = tonumber(ARGV[5]), tonumber(ARGV[6])
	local all, own, total, fields, expired = redis.call('HGETALL', KEYS[1]), 0, 0, {}, {}
	for i = 1, #all, 2 do
		local count, ends = read(all[i + 1])
		if ends <= now or ends > now + 2 * lease then -- the latter after the server's clock was set back
			expired[all[i]] = true
			redis.call('HDEL', KEYS[1], all[i])
		else
			total = total + count
			if all[i] == gate then own = count end
			for id = 7, #ARGV do fields[#fields + 1] = all[i] .. ARGV[id] end
		end
	end
	if next(expired) then forget(expired) end
	if keyLimit ~= 0 and total >= keyLimit then return 1 end
	if visitorLimit ~= 0 then
		local open = 0
		for _, field in ipairs(fields) do open = open + tonumber(redis.call('HGET', KEYS[2], field) or 0) end
		if open >= visitorLimit then return 2 end
	end
	redis.call('HINCRBY', KEYS[2], gate .. ARGV[7], 1)
	write(own + 1)
	return 0
end

if operation == 'set' then
	forget({[gate] = true})
	for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[2], gate .. ARGV[i], ARGV[i + 1]) end
	return write(tonumber(ARGV[5]))
end

local stored = redis.call('HGET', KEYS[1], gate)
if not stored then return -1 end
local own = read(stored)
for i = 5, #ARGV, 2 do -- release
	local n = tonumber(ARGV[i + 1])
	own = own - n
	if redis.call('HINCRBY', KEYS[2], gate .. ARGV[i], -n) <= 0 then redis.call('HDEL', KEYS[2], gate .. ARGV[i]) end
end
return write(math.max(own, 0))
