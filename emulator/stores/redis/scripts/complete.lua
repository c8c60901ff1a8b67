-- Keep what the application took as its result, in a session that is there. ARGV: the text, how many are kept.
local session, completed = KEYS[1], KEYS[2]
if redis.call('EXISTS', session) == 0 then return end
redis.call('RPUSH', completed, ARGV[1])
redis.call('LTRIM', completed, -ARGV[2], -1)
