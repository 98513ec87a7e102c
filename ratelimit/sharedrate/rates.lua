-- Decides on a request by GCRA, with the same results as ratelimit.Limiter, and counts it if the rates of its key and its visitor allow it.
-- KEYS: 1 rates of the key; only with a rate of visitors: 2 to 5 counters by visitor, 6 to 9 visitors by the time when they are idle.
--   Each of these four belongs to one of the latest rates of visitors, as the first key says.
-- ARGV: 1, 2 time in s and ns, or "": the server's; 3 most visitors of a rate;
--   4 to 7 the key's rate, 8 to 11 the visitor's: count (0: no limit), per in ns, and per/count in ns and its remainder;
--   12 day of the visitor's ID, 13 ID of the day before, 14 ID, 15 ID of the day after; "": unknown
-- Returns the times in ns until the counters of the key and the visitor are replenished, each followed by its fraction.
--
-- Numbers are doubles, which are exact below 2^53. So a time has two parts, s and n (ns), and a fraction f of a ns in units of 1/count.
local B, NS, MAX_RATES = 1e6, 1e9, 4
local floor, format = math.floor, string.format

local now
if ARGV[1] == '' then
	local t = redis.call('TIME')
	now = {s = tonumber(t[1]), n = t[2] * 1000}
else
	now = {s = tonumber(ARGV[1]), n = tonumber(ARGV[2])}
end

local function rate(i)
	local count = tonumber(ARGV[i])
	if count > 0 then
		return {count = count, per = tonumber(ARGV[i + 1]), step = tonumber(ARGV[i + 2]), rest = tonumber(ARGV[i + 3])}
	end
end

local function diff(a, b) return (a.s - b.s) * NS + a.n - b.n end
local function idle(a, at) local d = diff(a, at) return d < 0 or d == 0 and a.f == 0 end
local function later(a, ns, f)
	local n = a.n + ns % NS
	local carry = n >= NS and 1 or 0
	return {s = a.s + floor(ns / NS) + carry, n = n - carry * NS, f = f}
end

-- clamp corrects a counter after the server's clock was set back: it is replenished after per. The second result is true then.
local function clamp(a, per)
	if a and diff(a, now) > per then return later(now, per, 0), true end
	return a or {s = now.s, n = now.n, f = 0}, false
end

local function following(a, r)
	if idle(a, now) then a = {s = now.s, n = now.n, f = 0} end
	local f, carry = a.f + r.rest, 0
	if f >= r.count then f, carry = f - r.count, 1 end
	return later(a, r.step + carry, f)
end

local function allowed(a, r) return diff(a, now) - r.per + (a.f > 0 and 1 or 0) <= 0 end

-- product returns the digits of a*b+c to the base B; a and c are at most 1e9.
local function product(a, b, c)
	local b0, b1 = b % B, floor(b / B)
	local l = a * b0 + c
	local m = a * (b1 % B) + floor(l / B)
	return floor(b1 / B) * a + floor(m / B), m % B, l % B
end

-- used returns the number of requests that are not replenished at a time, rounded up.
local function used(a, r, at)
	if idle(a, at) then return 0 end
	local h, m, l = product(r.count, diff(a, at), a.f)
	local least, most = 0, r.count
	while least < most do -- the least number with number*per >= diff*count + f
		local try = floor((least + most) / 2)
		local h2, m2, l2 = product(try, r.per, 0)
		if h2 > h or h2 == h and (m2 > m or m2 == m and l2 >= l) then most = try else least = try + 1 end
	end
	return least
end

-- convert returns the counter of another rate after the same number of used requests.
local function convert(a, from, to, at)
	local n = math.min(used(a, from, at), to.count)
	local h, m, l = product(n, to.per, 0)
	local q, f = floor(h / to.count), h % to.count
	for _, digit in ipairs({m, l}) do
		local x = f * B + digit
		q, f = q * B + floor(x / to.count), x % to.count
	end
	return later(at, q, f)
end

-- A list has the latest rates first. The last number is the fraction of a key's counter, or the slot of a visitor's rate.
local function decode(text)
	local list = {}
	for count, per, s, n, f in string.gmatch(text or '', '(%d+):(%d+):(%d+):(%d+):(%d+);') do
		list[#list + 1] = {count = tonumber(count), per = tonumber(per), s = tonumber(s), n = tonumber(n), f = tonumber(f)}
	end
	return list
end

local function encode(list)
	local text = {}
	for i, e in ipairs(list) do text[i] = format('%.0f:%.0f:%.0f:%.0f:%.0f;', e.count, e.per, e.s, e.n, e.f) end
	return table.concat(text)
end

-- toFront moves the entry of a rate to the front, and returns it, or nil.
local function toFront(list, r)
	for i, e in ipairs(list) do
		if e.count == r.count and e.per == r.per then
			table.insert(list, 1, table.remove(list, i))
			return e
		end
	end
end

local function encodeCounter(a) return format('%.0f:%.0f:%.0f', a.s, a.n, a.f) end

local function parse(text)
	if not text then return nil end
	local s, n, f = string.match(text, '^(%d+):(%d+):(%d+)$')
	return {s = tonumber(s), n = tonumber(n), f = tonumber(f)}
end

local keyRate, visitorRate = rate(4), rate(8)
local stored = redis.call('HMGET', KEYS[1], 'key', 'visitors', 'expires')
local buckets, tables, expires = decode(stored[1]), decode(stored[2]), tonumber(stored[3] or 0)
local function keep(a) expires = math.max(expires, a.s * 1000 + floor(a.n / 1e6)) end

local bucket, keyBefore, keyNext
if keyRate then
	bucket = toFront(buckets, keyRate)
	if not bucket then
		local a = now
		local latest = buckets[1]
		if latest then a = convert((clamp(latest, latest.per)), latest, keyRate, now) end
		bucket = {count = keyRate.count, per = keyRate.per, s = a.s, n = a.n, f = a.f or 0}
		table.insert(buckets, 1, bucket)
		buckets[MAX_RATES + 1] = nil
	end
	keyBefore = clamp({s = bucket.s, n = bucket.n, f = bucket.f}, keyRate.per)
	bucket.s, bucket.n, bucket.f = keyBefore.s, keyBefore.n, keyBefore.f
	keyNext = following(keyBefore, keyRate)
end

local touched = {KEYS[1]}
local counters, order, id, previous, known, visitorBefore, visitorNext
if visitorRate then
	-- Gates disagree about the day for a moment, so the server's clock decides.
	local day, of = floor(now.s / 86400), tonumber(ARGV[12])
	id, previous = ARGV[14], ARGV[13]
	if day > of and ARGV[15] ~= '' then
		id, previous = ARGV[15], ARGV[14]
	elseif day < of and ARGV[13] ~= '' then
		id, previous = ARGV[13], ''
	end

	local t = toFront(tables, visitorRate)
	if not t then
		local free = {true, true, true, true}
		local last = tables[MAX_RATES]
		tables[MAX_RATES] = nil
		for _, e in ipairs(tables) do free[e.f] = false end
		for slot = 1, MAX_RATES do
			if free[slot] then
				t = {count = visitorRate.count, per = visitorRate.per, s = now.s, n = now.n, f = slot}
				break
			end
		end
		redis.call('DEL', KEYS[1 + t.f], KEYS[5 + t.f])
		table.insert(tables, 1, t)
		if #tables > 1 then
			keep(later(now, visitorRate.per, 0)) -- the counters of the earlier rates are needed until then
			touched = KEYS
		end
	end
	counters, order = KEYS[1 + t.f], KEYS[5 + t.f]
	if touched ~= KEYS then touched = {KEYS[1], counters, order} end

	local function find(key)
		local found = redis.call('HGET', key, id)
		if not found and previous ~= '' then return redis.call('HGET', key, previous), true end
		return found, false
	end
	local text, renamed = find(counters)
	known = text
	if known then
		if not renamed then previous = '' end
		visitorBefore = parse(text)
	elseif #tables > 1 and diff(now, t) < t.per then
		for i = 2, #tables do
			local other = find(KEYS[1 + tables[i].f])
			if other then
				visitorBefore = convert(parse(other), tables[i], t, t)
				break
			end
		end
	end
	local clockSetBack
	visitorBefore, clockSetBack = clamp(visitorBefore, visitorRate.per)
	if clockSetBack and known then
		redis.call('HSET', counters, renamed and previous or id, encodeCounter(visitorBefore))
	end
	visitorNext = following(visitorBefore, visitorRate)
end

if (not keyRate or allowed(keyNext, keyRate)) and (not visitorRate or allowed(visitorNext, visitorRate)) then
	if bucket then bucket.s, bucket.n, bucket.f = keyNext.s, keyNext.n, keyNext.f end
	if visitorNext then
		if known and previous ~= '' then
			redis.call('HDEL', counters, previous)
			redis.call('ZREM', order, previous)
		elseif not known then
			-- Idle counters are dropped first. The order is exact to a microsecond.
			local drop = redis.call('ZRANGEBYSCORE', order, '-inf', format('%.6f', now.s + now.n / NS - 0.001), 'LIMIT', 0, 2)
			if #drop == 0 and redis.call('ZCARD', order) >= tonumber(ARGV[3]) then drop = redis.call('ZRANGE', order, 0, 0) end
			for _, member in ipairs(drop) do
				redis.call('HDEL', counters, member)
				redis.call('ZREM', order, member)
			end
		end
		redis.call('HSET', counters, id, encodeCounter(visitorNext))
		redis.call('ZADD', order, format('%.6f', visitorNext.s + visitorNext.n / NS), id)
		keep(visitorNext)
	end
end
if bucket then keep(bucket) end

redis.call('HSET', KEYS[1], 'key', encode(buckets), 'visitors', encode(tables), 'expires', format('%.0f', expires))
-- All is idle after that time, and expires a minute later, since the server's clock may be set back.
local left = math.max(expires - now.s * 1000 - floor(now.n / 1e6), 0) + 60000
for _, key in ipairs(touched) do redis.call('PEXPIRE', key, format('%.0f', left)) end

local result = {0, 0, 0, 0}
if keyBefore and not idle(keyBefore, now) then result[1], result[2] = diff(keyBefore, now), keyBefore.f end
if visitorBefore and not idle(visitorBefore, now) then result[3], result[4] = diff(visitorBefore, now), visitorBefore.f end
return result
