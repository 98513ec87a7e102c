-- Decides on questions of a key, with the same results as quota.Counter, and replaces what is known of the counts of a gate.
-- KEYS: 1 counts of all gates together and of each gate, 2 tokens that each gate has reserved, with the end of its lease in ms
-- ARGV: 1 time in ms, or "": the server's; 2 gate; 3 lease in ms; 4 whether tokens are limited ("1"); 5 reserved tokens of the gate;
--   6 tokens to reserve for a question; 7, 8 day and month of the following counts, each of questions of the day and the month and of tokens:
--   9 to 11 those of the gate itself, 12 to 14 the part of them that the gate has not reported, 15 to 17 those of all gates that
--   the server had at the last call of the gate, 18 to 20 what the gate knows of all gates; 21 the number of the call; then the limits of
--   each question, 0: none
-- Returns the day, the counts and the reserved tokens of all gates before the questions, and 1 if the gate should call again in a few
-- seconds. It returns nothing if the day of the gate is wrong, and an empty list without any effect if the gate has called since: a call that
-- the network has delayed has old counts, and nobody waits for its result.
local YOUNG = 15000 -- age in ms up to which counts may lack those of other gates
local EXPIRES = '3024000000' -- 35 days: the counts of a month are over
local floor, max, min, format = math.floor, math.max, math.min, string.format

local now = tonumber(ARGV[1])
if not now then
	local t = redis.call('TIME')
	now = t[1] * 1000 + floor(t[2] / 1000)
end
local node, lease, reserved = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local tokensLimited, reservation = ARGV[4] == '1', tonumber(ARGV[6])
local gateDay, gateMonth = tonumber(ARGV[7]), tonumber(ARGV[8])
local today = floor(now / 86400000) -- in UTC; in other time zones it is up to one day more or less
if gateDay > today + 1 or gateDay < today - 1 then return nil end

local number, numbered = tonumber(ARGV[21]), 'call ' .. node
if number < tonumber(redis.call('HGET', KEYS[1], numbered) or 0) then return {} end

local function parse(text)
	local day, month, d, m, t = string.match(text or '', '^(%d+) (%d+) (-?%d+) (-?%d+) (-?%d+)$')
	return day and {day = tonumber(day), month = tonumber(month), d = tonumber(d), m = tonumber(m), t = tonumber(t)}
end

local function encode(c) return format('%.0f %.0f %.0f %.0f %.0f', c.day, c.month, c.d, c.m, c.t) end

-- The later day counts: it has begun at some gate, and does not begin again.
local stored = redis.call('HMGET', KEYS[1], 'all', 'base', 'born', node, 'told')
local all, base, born, before = parse(stored[1]), parse(stored[2]), tonumber(stored[3] or nil), parse(stored[4])
local told = parse(stored[5]) -- the part of base that gates know only from each other: a gate that is new here may have counted it
if not (base and born and told) then all = nil end
if all and (all.day > today + 1 or gateDay > all.day and gateMonth ~= all.month) then
	redis.call('DEL', KEYS[1]) -- with the gates that have ended
	all = nil
end
if not all then
	all, born, before = {day = gateDay, month = gateMonth, d = 0, m = 0, t = 0}, now, nil
	base = {day = gateDay, month = gateMonth, d = 0, m = 0, t = 0} -- the part of all that was counted before
	told = {day = gateDay, month = gateMonth, d = 0, m = 0, t = 0}
elseif gateDay > all.day then
	all.day, all.d, all.t = gateDay, 0, 0
	base.day, base.d, base.t = gateDay, 0, 0
	told.day, told.d, told.t = gateDay, 0, 0
end

-- counted returns the part of counts that belongs to the period.
local function counted(c)
	local sameDay = c.day == all.day
	return {d = sameDay and c.d or 0, m = c.month == all.month and c.m or 0, t = sameDay and c.t or 0}
end

local function argument(i)
	return {day = gateDay, month = gateMonth, d = tonumber(ARGV[i]), m = tonumber(ARGV[i + 1]), t = tonumber(ARGV[i + 2])}
end

-- Of a gate that is known, what has changed is added. If it is unknown, the server may have lost its data: then the counts begin with the
-- largest ones that a gate has seen.
local own, old = argument(9), before
if before and before.day > gateDay then own = before end -- its clock was set back, which gives nothing back
own, old = counted(own), before and counted(before)
local fresh, seen, known = counted(argument(12)), counted(argument(15)), counted(argument(18))
local young = now - born < YOUNG
for _, name in ipairs({'d', 'm', 't'}) do
	local sum, lost = all[name], 0
	if old then
		sum = max(sum + own[name] - old[name], 0)
	else
		local attributed = min(fresh[name], told[name])
		told[name] = told[name] - attributed
		lost = max(seen[name] - base[name], 0) - attributed
		sum = sum + fresh[name] + lost
	end
	if young or not old then
		local missing = max(known[name] - sum, 0)
		sum, lost, told[name] = sum + missing, lost + missing, told[name] + missing
	end
	all[name], base[name] = sum, base[name] + lost
end

-- Gates that have ended have reserved nothing when their lease is over.
local others = 0
if tokensLimited then
	local gates = redis.call('HGETALL', KEYS[2])
	for i = 1, #gates, 2 do
		local tokens, ends = string.match(gates[i + 1], '^(%d+) (%d+)$')
		if tonumber(ends) <= now or tonumber(ends) > now + 2 * lease then -- the latter after the server's clock was set back
			redis.call('HDEL', KEYS[2], gates[i])
		elseif gates[i] ~= node then
			others = others + tonumber(tokens)
		end
	end
end

local result = {all.day, all.d, all.m, all.t, others + reserved, young and not before and 1 or 0}
for i = 22, #ARGV, 3 do
	local perDay, perMonth, tokens = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
	if not (perDay > 0 and all.d >= perDay or perMonth > 0 and all.m >= perMonth or
		tokens > 0 and all.t + others + reserved >= tokens) then
		all.d, all.m, own.d, own.m = all.d + 1, all.m + 1, own.d + 1, own.m + 1
		reserved = reserved + reservation
	end
end

own.day, own.month = all.day, all.month
redis.call('HSET', KEYS[1], 'all', encode(all), 'base', encode(base), 'told', encode(told), 'born', format('%.0f', born), node, encode(own), numbered, ARGV[21])
redis.call('PEXPIRE', KEYS[1], EXPIRES)
if tokensLimited then
	if reserved > 0 then
		redis.call('HSET', KEYS[2], node, format('%.0f %.0f', reserved, now + lease))
		redis.call('PEXPIRE', KEYS[2], 2 * lease)
	else
		redis.call('HDEL', KEYS[2], node)
	end
end
return result
