-- One exchange of a gate: it reports what its requests need, and gets its shares of the limits of one class at one upstream.
--
-- KEYS[1] is a hash with a record for each gate. The empty field is the time until which shares do not grow. ARGV[1] is the request, see
-- exchange.go. Only the clock of the server is read. Times are in milliseconds.
--
-- A pool is one limit: of all keys ("total"), or of one key ("per_key"). In a pool each gate has
--   hold  what it may use, or uses already: the server never counts less, so the sum of all shares is never above the limit
--   need  its requests in flight and waiting
--   next  the cost of its next waiting request, so that one that costs more than an equal part has its turn, too
--   want  what it takes beyond need while no gate needs it
--   turn  when one of its waiting requests last got a slot, or when requests began to wait; the gate with the oldest one goes first

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local request = cjson.decode(ARGV[1])

if request.leave then
  redis.call('HDEL', KEYS[1], request.node)
  return '{}'
end

-- The records of the other gates. A clock that was set back must not extend a lease.
local others = {}
local frozen_until
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local node, value = fields[i], fields[i + 1]
  if node == '' then
    frozen_until = tonumber(value)
  elseif node ~= request.node then
    local record = cjson.decode(value)
    if record.ends <= now then
      redis.call('HDEL', KEYS[1], node)
    else
      if record.ends > now + request.lease then
        record.ends = now + request.lease
        redis.call('HSET', KEYS[1], node, cjson.encode(record))
      end
      record.node = node
      others[#others + 1] = record
    end
  end
end
-- A gate that has a lease, but no record, shows that the server has lost the records. The other gates still use the shares that they had,
-- so no share grows before all of them had time to report theirs.
if request.leased and redis.call('HEXISTS', KEYS[1], request.node) == 0 and not (frozen_until and frozen_until > now)
  or frozen_until and frozen_until > now + request.freeze then
  frozen_until = now + request.freeze
  redis.call('HSET', KEYS[1], '', frozen_until)
end
local frozen = frozen_until and now < frozen_until

-- by returns an order of members by a number, and then by gate, so that all gates get parts of the same division.
local function by(number)
  return function(a, b)
    local x, y = number(a), number(b)
    if x ~= y then return x < y end
    return a.node < b.node
  end
end
local by_need = by(function(member) return member.need end)
local by_turn = by(function(member) return member.turn end)
local by_extra = by(function(member) return member.want - member.need end)

-- fill sets the field part of each member of a pool. The needs are met by max-min fairness: small ones entirely, the others equally.
-- What remains of an equal division goes to the oldest turn. If all needs are met, the rest is divided by wants in the same way.
local function fill(limit, pool)
  local left, n, i = limit, #pool, 1
  table.sort(pool, by_need)
  while i <= n and pool[i].need <= math.floor(left / (n - i + 1)) do
    pool[i].part = pool[i].need
    left = left - pool[i].need
    i = i + 1
  end
  if i <= n then
    local rest = {}
    for j = i, n do rest[#rest + 1] = pool[j] end
    table.sort(rest, by_turn)
    for j, member in ipairs(rest) do
      member.part = math.min(math.ceil(left / (#rest - j + 1)), member.need)
      left = left - member.part
    end
    return
  end
  table.sort(pool, by_extra)
  for j, member in ipairs(pool) do
    local extra = math.max(0, math.min(member.want - member.need, math.floor(left / (n - j + 1))))
    member.part = member.part + extra
    left = left - extra
  end
end

-- divide does the same, but the oldest turn gets what its next request costs, even if that is more than an equal part.
local function divide(limit, pool)
  fill(limit, pool)
  local first
  for i, member in ipairs(pool) do
    if member.need > member.used and (not first or by_turn(member, pool[first])) then first = i end
  end
  if not first then return end
  local member = pool[first]
  local least = math.min(member.next, member.need, limit)
  if member.part < least then
    table.remove(pool, first)
    fill(limit - least, pool)
    member.part = least
  end
end

-- grant returns the share of a member. It grows only by what the others do not hold. A smaller one is what the gate should return; it
-- counts as held until the gate has reported less.
local function grant(limit, member, rivals)
  local pool, held = {member}, 0
  for _, rival in ipairs(rivals) do
    pool[#pool + 1] = rival
    held = held + rival.hold
  end
  divide(limit, pool)
  local share = member.part
  if share > member.hold then
    share = frozen and member.hold or math.max(member.hold, math.min(share, limit - held))
    member.hold = share
  end
  member.short = share < member.need
  return share
end

local total, per_key, contended = request.total, request.per_key, false
for _, record in ipairs(others) do
  total = math.min(total, record.total)
  per_key = math.min(per_key, record.per_key)
  contended = contended or record.short
end

local reply = {keys = {}, total = total, nodes = #others + 1}
local record = {
  node = request.node, ends = now + request.lease, total = request.total, per_key = request.per_key, keys = {},
  used = request.used, hold = request.hold, need = request.used + request.waiting, next = request.next, want = request.want,
  turn = now - request.stalled,
}
for name, key in pairs(request.keys) do
  local member = {
    node = request.node, used = key.used, hold = key.hold, need = math.min(key.used + key.waiting, math.max(per_key, key.used)),
    next = math.min(key.next, per_key), want = key.want, turn = now - key.stalled,
  }
  local rivals = {}
  for _, other in ipairs(others) do
    local rival = other.keys[name]
    if rival then
      rival.node = other.node
      rivals[#rivals + 1] = rival
      contended = contended or rival.short
    end
  end
  local share = grant(per_key, member, rivals)
  reply.keys[name] = share
  record.keys[name] = member
  contended = contended or member.short
  -- The requests that the limit of the key admits are those that need a part of the total.
  local free = math.max(share, 1) - key.used
  if free >= member.next then record.need = record.need + math.min(key.waiting, free) end
end
record.next = math.min(record.next, total)
reply.share = grant(total, record, others)
reply.contended = contended or record.short
redis.call('HSET', KEYS[1], request.node, cjson.encode(record))
redis.call('PEXPIRE', KEYS[1], 2 * request.lease)
return cjson.encode(reply)
