-- What goes before a script that changes a journal: the bytes that its rows and the first answers to idempotency keys
-- keep, and how they are dropped.
local ROW = 300 -- what a row takes beside what stands in it
local PARTS = {'r', 'g', 'x', 's', 'fr', 'fg', 'fx'}

local function bytes_of_row(journal, number)
  local bytes = ROW
  for _, part in ipairs(PARTS) do bytes = bytes + redis.call('HSTRLEN', journal, part .. number) end
  return bytes
end

-- Drop rows while there are over `most`, or more bytes than there is room for; then even the newest goes.
local function drop_rows(session, journal, oldest, number, bytes, most, room)
  while oldest <= number and (number - oldest >= most or bytes > room) do
    bytes = bytes - bytes_of_row(journal, oldest)
    redis.call('HDEL', journal, 'r' .. oldest, 'g' .. oldest, 'x' .. oldest, 's' .. oldest, 'fr' .. oldest,
      'fg' .. oldest, 'fx' .. oldest)
    oldest = oldest + 1
  end
  redis.call('HSET', session, 'oldest', oldest, 'bytes', bytes)
end

-- Forget the first answer to a key, and return the bytes that all of them keep then.
local function forget_first(firsts, name, bytes)
  for _, part in ipairs({'r', 'g', 'x'}) do
    bytes = bytes - redis.call('HSTRLEN', firsts, part .. name)
    redis.call('HDEL', firsts, part .. name)
  end
  return bytes
end
