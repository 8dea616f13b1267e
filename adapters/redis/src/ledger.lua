-- Takes what one gateway used out of a key's buckets and tells what is left over all gateways.
--
-- KEYS  1 the buckets: {part} level, {part}:at when it was that high (seconds)
--       2 running requests: gateway -> "count at"
-- ARGV  1 gateway, 2 running there, 3 seconds after which a gateway's count is stale,
--       then for requests, rows and bytes: capacity (0 is no bound), inflow per second, used
-- Answer: the three levels as text ('' without a bound), running elsewhere.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local exact = function(number) return string.format('%.17g', number) end

local answer, keep = {}, 0
for place, part in ipairs({'requests', 'rows', 'bytes'}) do
  local capacity = tonumber(ARGV[1 + 3 * place])
  local inflow = tonumber(ARGV[2 + 3 * place])
  local used = tonumber(ARGV[3 + 3 * place])
  if capacity > 0 then
    local level = tonumber(redis.call('HGET', KEYS[1], part)) or capacity
    local at = tonumber(redis.call('HGET', KEYS[1], part .. ':at')) or now
    level = math.min(capacity, level + math.max(0, now - at) * inflow)
    level = math.max(-capacity, level - used)
    redis.call('HSET', KEYS[1], part, exact(level), part .. ':at', exact(now))
    keep = math.max(keep, 2 * capacity / inflow)
    answer[place] = exact(level)
  else
    answer[place] = ''
  end
end
if keep > 0 then
  -- Longer than the deepest debt takes to fill: then a bucket that is not there is a full one.
  -- Redis refuses a time beyond its numbers; ten years are as good as for ever.
  redis.call('EXPIRE', KEYS[1], math.min(math.ceil(keep) + 60, 315360000))
end

local stale, elsewhere = tonumber(ARGV[3]), 0
if tonumber(ARGV[2]) > 0 then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. exact(now))
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
local running = redis.call('HGETALL', KEYS[2])
for place = 1, #running, 2 do
  local count, at = string.match(running[place + 1], '^(%d+) (.+)$')
  if now - tonumber(at) > stale then
    redis.call('HDEL', KEYS[2], running[place])
  elseif running[place] ~= ARGV[1] then
    elsewhere = elsewhere + tonumber(count)
  end
end
redis.call('EXPIRE', KEYS[2], math.ceil(stale))
answer[4] = elsewhere
return answer
