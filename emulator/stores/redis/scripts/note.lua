-- Note what became of a claim: its tokens, its idempotency record, what cannot be worked out again, what was sent.
-- ARGV: number, life of the session, tokens, window, record, when the answer to it ends, whether it is good to give
-- again, the rest, what was sent, the virtual clock, the channel of who watches, the bytes that the session has room
-- for. '' where there is nothing to note.
-- KEYS: the last two only where there is a record.
local session, windows, journal, records, firsts = unpack(KEYS, 1, 5)
local number, life, cost, window, name, done_at, good, rest, sent, now, channel, room = unpack(ARGV)

local kept = redis.call('HMGET', session, 'life', 'now', 'number', 'oldest', 'bytes', 'first-bytes')
if (kept[1] or '') ~= life then return end
if sent ~= '' and redis.call('HEXISTS', journal, 's' .. number) == 1 then return end -- told a second time
if now ~= '' and tonumber(now) > tonumber(kept[2] or '-1e999') then redis.call('HSET', session, 'now', now) end

if cost ~= '' then
  local ends, requests, tokens, plan =
    string.match(redis.call('HGET', windows, window) or '', '^(%S+) (%S+) (%S+) (.*)$')
  if ends then
    redis.call('HSET', windows, window, string.format('%s %s %d %s', ends, requests, tokens + cost, plan))
  end
end

local first_bytes = tonumber(kept[6]) or 0
if name ~= '' then
  local fingerprint, till, first, _, was_good, worker =
    string.match(redis.call('HGET', records, name) or '', '^(%S+) (%S+) (%d+) (%S+) (%d) (%S+)$')
  if first == number then
    good = good ~= '' and good or was_good
    redis.call('HSET', records, name, table.concat({fingerprint, till, first, done_at, good, worker}, ' '))
    if rest ~= '' and redis.call('HEXISTS', firsts, 'g' .. name) == 1 then
      redis.call('HSET', firsts, 'x' .. name, rest)
      first_bytes = first_bytes + #rest
      if first_bytes > tonumber(room) then first_bytes = forget_first(firsts, name, first_bytes) end
      redis.call('HSET', session, 'first-bytes', first_bytes)
    end
  end
end

if rest .. sent == '' or redis.call('HEXISTS', journal, 'g' .. number) == 0 then return end
local bytes = tonumber(kept[5]) + #rest + #sent
if rest ~= '' then redis.call('HSET', journal, 'x' .. number, rest) end
if sent ~= '' then
  redis.call('HSET', journal, 's' .. number, sent)
  redis.call('PUBLISH', channel, number)
end
drop_rows(session, journal, tonumber(kept[4]), tonumber(kept[3]), bytes, math.huge, room - first_bytes)
