-- Take a claim in one step: number, window, idempotency record, the first rule that state and turns allow.
-- Times come as text and are kept as text, and what is a fraction as `exact` writes it, so that none loses a digit.
-- ARGV: the claim (JSON), the request as it is journalled.
-- Returns {'stale'} where the session has another version, or is gone; {'whose', worker} where somebody must first be
-- found alive or dead; or {'taken', grant}, and for a replay also the first answer's request, grant and rest.
-- KEYS: those from `apart` on only where a candidate counts by them, those from `records` on only for a keyed claim.
local session, calls, turns, windows, windows_order, journal = unpack(KEYS, 1, 6)
local apart, apart_order, records, records_order, firsts = unpack(KEYS, 7, 11)
local claim, request = cjson.decode(ARGV[1]), ARGV[2]
local at = tonumber(claim.at)
local kept = redis.call('HMGET', session, 'version', 'now', 'state', 'number', 'oldest', 'bytes', 'life',
  'first-bytes')

if claim.version ~= kept[1] then return {'stale'} end
if claim.virtual then
  local now = tonumber(kept[2] or '-1e999')
  if at < now then return {'stale'} end
  if at > now then redis.call('HSET', session, 'now', claim.at) end
end

local state, number = kept[3] or 'started', (tonumber(kept[4]) or 0) + 1
local candidate, n, turn, over, idempotency, replay = -1, 0, 0, '', '', 0

-- The window: one that is over counts nothing; only a request that counts opens the next. Of a plan that refills, it is
-- what is not back yet, at a time: `Window` of admission.py, step by step.

local ends, requests, tokens, moved =
  string.match(redis.call('HGET', windows, claim.window) or '', '^(%S+) (%S+) (%S+) (%S+)')
local open = ends and at < tonumber(ends)
if open then
  requests, tokens, moved = tonumber(requests), tonumber(tokens), tonumber(moved)
else
  ends, requests, tokens, moved = claim.ends, 0, 0, at
end

local function exact(number) return string.format('%.17g', number) end

local function minutes(used, limit)
  if not limit then return 0 end
  return limit > 0 and used / limit or 2
end

local more, cost = 1, 1
if claim.refills then
  local passed = math.max(0, at - moved) / claim.window_s
  requests = math.max(0, requests - passed * (claim.plan_requests or 0))
  tokens = math.max(0, tokens - passed * (claim.plan_tokens or 0))
  moved = math.max(at, moved)
  more, cost = 1 - claim.slack, claim.cost - claim.slack
end

local function take()
  requests = requests + 1
  if claim.refills then
    tokens = tokens + claim.cost
    local left = math.max(minutes(requests, claim.plan_requests), minutes(tokens, claim.plan_tokens))
    ends = exact(moved + claim.window_s * left)
    redis.call('ZADD', windows_order, ends, claim.window)
  end
end

local function keep_window()
  local row = {ends, exact(requests), exact(tokens), exact(moved), claim.plan}
  redis.call('HSET', windows, claim.window, table.concat(row, ' '))
end

local function open_window()
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', windows_order, '-inf', claim.at)) do
    redis.call('HDEL', windows, name)
    redis.call('ZREM', windows_order, name)
  end
  redis.call('ZADD', windows_order, ends, claim.window)
  if redis.call('ZCARD', windows_order) > claim.most_windows then
    redis.call('HDEL', windows, redis.call('ZPOPMIN', windows_order)[1])
  end
end

-- The idempotency record: what is to be done again, or why not yet.

local function recalled()
  local record = redis.call('HGET', records, claim.record)
  if not record then return end
  local fingerprint, till, first, done_at, good, worker =
    string.match(record, '^(%S+) (%S+) (%d+) (%S+) (%d) (%S+)$')
  if at >= tonumber(till) or (done_at == '1e999' and worker == claim.dead) then return end
  if done_at == '1e999' and worker ~= claim.alive then return worker end
  local same = fingerprint == claim.fingerprint
  if at < tonumber(done_at) then
    idempotency = same and 'in_progress' or 'mismatch'
  elseif good == '1' then
    if not same then
      idempotency = 'mismatch'
    elseif redis.call('HEXISTS', firsts, 'g' .. claim.record) == 1 then -- else there was no room for it
      replay = tonumber(first)
    end
  end
end

local first_bytes = tonumber(kept[8]) or 0
local function forget_record(name)
  first_bytes = forget_first(firsts, name, first_bytes)
  redis.call('HDEL', records, name)
  redis.call('ZREM', records_order, name)
end

local function begin_record()
  for _, name in ipairs(redis.call('ZRANGE', records_order, 0, 9)) do
    local _, till = string.match(redis.call('HGET', records, name), '^(%S+) (%S+)')
    if at < tonumber(till) then break end
    forget_record(name)
  end
  forget_record(claim.record)
  redis.call('HSET', records, claim.record, string.format('%s %s %d 1e999 0 %s', claim.fingerprint, claim.till, number,
    claim.worker))
  redis.call('ZADD', records_order, number, claim.record)
end

-- Where there is no room even for the newest, it is known to be in use, but is not given again.
local function keep_first(grant)
  redis.call('HSET', firsts, 'r' .. claim.record, request, 'g' .. claim.record, grant)
  first_bytes = first_bytes + #request + #grant
  local count = redis.call('ZCARD', records_order)
  while count > 1 and (count > claim.journal_size or first_bytes > claim.room) do
    forget_record(redis.call('ZRANGE', records_order, 0, 0)[1])
    count = count - 1
  end
  if first_bytes > claim.room then first_bytes = forget_first(firsts, claim.record, first_bytes) end
  redis.call('HSET', session, 'first-bytes', first_bytes)
end

-- The rule: turns that a rule counts as a whole stand by its id; those of keys are bounded, the longest unused first.

local function turn_of(rule)
  return (tonumber(redis.call('HGET', rule.key == rule.id and turns or apart, rule.key)) or 0) + 1
end

local function fits(rule)
  if rule.turns and turn > rule.turns then return false end
  if not rule.states then return true end
  for _, name in ipairs(rule.states) do
    if name == state then return rule.good end
  end
  return not rule.good
end

local function take_turn(rule)
  if rule.key == rule.id then
    redis.call('HSET', turns, rule.key, turn)
    return
  end
  redis.call('HSET', apart, rule.key, turn)
  redis.call('ZADD', apart_order, number, rule.key)
  if redis.call('ZCARD', apart_order) > claim.most_turns then
    redis.call('HDEL', apart, redis.call('ZPOPMIN', apart_order)[1])
  end
end

local next_state = state
local function fall_back()
  turn, n = 0, redis.call('HINCRBY', calls, claim.fallback, 1)
end

-- Whether the reply is an error, after which the request asks the next of its models.
local function fails(rule)
  local at = turn
  if rule.failing and rule.period > 0 then at = (turn - 1) % rule.period + 1 end
  for _, span in ipairs(rule.failing or {}) do
    if span[1] <= at and at <= span[2] then return true end
  end
  return false
end

local function choose()
  local index = 1
  while claim.candidates[index] do
    local rule = claim.candidates[index]
    index = index + 1
    turn = turn_of(rule)
    if fits(rule) then
      take_turn(rule)
      n, next_state = redis.call('HINCRBY', calls, rule.id, 1), rule['then'] or state
      if not fails(rule) then
        candidate = index - 2
        return
      end
      state, index = next_state, rule.onward + 1
    end
  end
  fall_back()
end

local begun = false
if not claim.counted then
  if open then keep_window() end
  fall_back()
else
  local whose = claim.record and recalled()
  if whose then return {'whose', whose} end
  if not open then open_window() end
  if idempotency == '' and replay == 0 then
    if claim.plan_requests and requests + more > claim.plan_requests then
      over = 'requests'
    elseif claim.plan_tokens and tokens + cost > claim.plan_tokens then
      over = 'tokens'
    else
      take()
      begun = claim.record
      if begun then begin_record() end
      choose()
    end
  end
  keep_window()
end

-- The journal: the request and what it was granted stand in it from now on, whatever becomes of the worker.

local grant = cjson.encode({number, claim.refills and exact(moved) or ends, exact(requests), exact(tokens), over, state, candidate, n, turn, idempotency, replay,
  kept[7] or '', claim.worker, claim.ask})
local first, bytes = {}, ROW + #request + #grant
redis.call('HSET', journal, 'r' .. number, request, 'g' .. number, grant)
if replay > 0 then
  first = redis.call('HMGET', firsts, 'r' .. claim.record, 'g' .. claim.record, 'x' .. claim.record)
  redis.call('HSET', journal, 'fr' .. number, first[1], 'fg' .. number, first[2], 'fx' .. number, first[3] or '')
  bytes = bytes + #first[1] + #first[2] + #(first[3] or '')
elseif begun then
  keep_first(grant)
end
redis.call('HSET', session, 'number', number, 'state', next_state)
bytes = bytes + (tonumber(kept[6]) or 0)
drop_rows(session, journal, tonumber(kept[5]) or 1, number, bytes, claim.journal_size, claim.room - first_bytes)
return {'taken', grant, first[1], first[2], first[3]}
