-- Say that a worker is alive for so many milliseconds more, and return what time it is here, in microseconds.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
local time = redis.call('TIME')
return time[1] * 1000000 + time[2]
