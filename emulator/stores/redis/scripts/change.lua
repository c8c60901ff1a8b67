-- Change a session: forget its turns, or all that happened in it, and set what all workers must know, in one step.
-- ARGV: what is forgotten ('', turns, all), the version it has now ('': it is not there yet), the life it has then or
-- begins with, the channel that is told, the session's id, its recipe's digest and text, how many recipes are kept, and
-- fields with their values; without fields it only forgets. Returns whether it was done: not where it has another version.
local session, recipes, recipes_order = KEYS[1], KEYS[12], KEYS[13]
local forget, version, life, channel, id, digest, recipe, most = unpack(ARGV, 1, 8)

if #ARGV > 8 and (redis.call('HGET', session, 'version') or '') ~= version then return 0 end
if forget == 'turns' then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[7], KEYS[8])
  redis.call('HDEL', session, 'state')
elseif forget == 'all' then
  redis.call('DEL', unpack(KEYS, 2))
  redis.call('HDEL', session, 'state', 'number', 'oldest', 'bytes', 'first-bytes', 'now')
  if redis.call('EXISTS', session) == 1 then redis.call('HSET', session, 'life', life) end
end
if #ARGV == 8 then return 1 end

local now = redis.call('HGET', session, 'now')
redis.call('HSETNX', session, 'life', life)
redis.call('HSET', session, unpack(ARGV, 9))
if now and tonumber(now) > tonumber(redis.call('HGET', session, 'now')) then redis.call('HSET', session, 'now', now) end
redis.call('HSET', recipes, digest, recipe)
redis.call('ZADD', recipes_order, redis.call('HINCRBY', session, 'changes', 1), digest)
if redis.call('ZCARD', recipes_order) > tonumber(most) then
  redis.call('HDEL', recipes, redis.call('ZPOPMIN', recipes_order)[1])
end
redis.call('PUBLISH', channel, id)
return 1
