-- Find claims that were taken, by how their grants end: those of which their worker never heard. The newest first.
local session, journal = KEYS[1], KEYS[2]
local kept = redis.call('HMGET', session, 'number', 'oldest')
local wanted, found = {}, {}
for _, ending in ipairs(ARGV) do wanted[ending] = true end
for number = tonumber(kept[1]) or 0, tonumber(kept[2]) or 1, -1 do
  local grant = redis.call('HGET', journal, 'g' .. number)
  if grant and wanted[string.match(grant, '[^,]*,[^,]*$')] then found[#found + 1] = grant end
  if #found == #ARGV then break end
end
return found
