-- Renews the lease of a gate, and returns the live gates and the secrets of visitors.
-- KEYS: 1 the gates by the end of their leases, 2 the secrets by day
-- ARGV: 1 gate, 2 lease in ms, 3 and 4 random secrets, then known secrets: day, secret, ...
-- Returns: live gates, 1 if the gate had a lease, day, then the secrets of the day before, this day and the next; "": none
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local lease = tonumber(ARGV[2])
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
-- First, since a server without memory allows other commands after a write.
redis.call('ZADD', KEYS[1], ms + lease, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms)
-- Leases never end later than this, unless the server's clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', ms + 2 * lease), '+inf')
redis.call('PEXPIRE', KEYS[1], lease)

local day = math.floor(now[1] / 86400)
for i = 5, #ARGV, 2 do -- after a loss of all data, so that visitors remain the same
	local d = tonumber(ARGV[i])
	if d >= day - 1 and d <= day + 1 then
		redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1])
	end
end
redis.call('HSETNX', KEYS[2], string.format('%d', day), ARGV[3])
-- The next day's secret exists before the day begins, so that all gates know it then.
redis.call('HSETNX', KEYS[2], string.format('%d', day + 1), ARGV[4])
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
	local d = tonumber(field)
	if not d or d < day - 1 or d > day + 1 then
		redis.call('HDEL', KEYS[2], field)
	end
end
redis.call('EXPIRE', KEYS[2], 3 * 86400)
local result = {redis.call('ZCARD', KEYS[1]), known, day}
for d = day - 1, day + 1 do
	result[#result + 1] = redis.call('HGET', KEYS[2], string.format('%d', d)) or ''
end
return result
