-- What goes before a script that is done in time or not at all: its caller has given it up by then.
-- Takes the last argument away: until when, in microseconds of this server's clock.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(table.remove(ARGV)) then return {'late', now} end
