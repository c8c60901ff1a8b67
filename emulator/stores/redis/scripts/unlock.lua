-- Give a lock back, unless its time was over and somebody else has it now.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
