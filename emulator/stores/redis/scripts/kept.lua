-- Note how many bytes sessions keep, and return how many all of them do. ARGV: ids, each with its bytes.
local kept = KEYS[1]
local all = tonumber(redis.call('HGET', kept, '') or '0') -- no session has this id
for at = 1, #ARGV, 2 do
  local id, bytes = ARGV[at], tonumber(ARGV[at + 1])
  all = all + bytes - tonumber(redis.call('HGET', kept, id) or '0')
  if bytes > 0 then redis.call('HSET', kept, id, bytes) else redis.call('HDEL', kept, id) end
end
redis.call('HSET', kept, '', all)
return all
