-- Keep an answer by its id, or forget or cancel the one of that id, if the session is still the same.
-- ARGV: life of the session, number of the exchange, keep | forget | cancel, the answer's id.
-- KEYS: `kept` has ids by the numbers of their exchanges; those that were cancelled stand there a second time.
local session, kept = KEYS[1], KEYS[2]
local life, number, does, id = unpack(ARGV, 1, 4)

local known = redis.call('HMGET', session, 'life', 'oldest')
if (known[1] or '') ~= life then return end
if does == 'keep' then
  redis.call('ZADD', kept, number, id)
  redis.call('ZREMRANGEBYSCORE', kept, '-inf', (tonumber(known[2]) or 1) - 1) -- those that are no longer in the journal
elseif does == 'forget' then
  redis.call('ZREM', kept, id, '\31' .. id)
else
  local first = redis.call('ZSCORE', kept, id)
  if first then redis.call('ZADD', kept, first, '\31' .. id) end
end
