-- Keep an answer by its ids, or forget or change the one of an id, if the session is still the same.
-- ARGV: life of the session, number of the exchange, keep | forget | change, the operation it is of and the separator or
-- what it has otherwise, the separator, its ids: the first is its own.
-- KEYS: `kept` has ids by the numbers of their exchanges; `kept-more` has of each the operation, a separator, and what it
-- has otherwise.
local session, kept, kept_more = KEYS[1], KEYS[2], KEYS[3]
local life, number, does, data, separator = unpack(ARGV, 1, 5)
local id = ARGV[6]

local known = redis.call('HMGET', session, 'life', 'oldest')
if (known[1] or '') ~= life then return end
if does == 'keep' then
  for at = 6, #ARGV do
    redis.call('ZADD', kept, number, ARGV[at])
    redis.call('HSET', kept_more, ARGV[at], at == 6 and data or separator)
  end
  local gone = (tonumber(known[2]) or 1) - 1 -- those that are no longer in the journal
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', kept, '-inf', gone)) do redis.call('HDEL', kept_more, name) end
  redis.call('ZREMRANGEBYSCORE', kept, '-inf', gone)
elseif does == 'forget' then
  redis.call('ZREM', kept, id)
  redis.call('HDEL', kept_more, id)
else
  local more = redis.call('HGET', kept_more, id)
  if more then redis.call('HSET', kept_more, id, string.match(more, '^[^' .. separator .. ']*') .. separator .. data) end
end
