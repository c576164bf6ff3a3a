/**
 * Says that a job's output is there. KEYS: record, ids, done, times; ARGV: the job's id, seconds to keep a run that is
 * done. Returns 1 where it is news.
 */
export const FINISH = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
if redis.call('SADD', KEYS[3], ARGV[1]) == 0 then return 0 end
local now = redis.call('TIME')
redis.call('LPUSH', KEYS[4], now[1] * 1000 + math.floor(now[2] / 1000))
redis.call('LTRIM', KEYS[4], 0, 199)
if redis.call('SCARD', KEYS[2]) == redis.call('SCARD', KEYS[3]) then
  for i = 1, 4 do redis.call('EXPIRE', KEYS[i], ARGV[2]) end
end
return 1`;

/** Lets a run that is done expire after ARGV[1] seconds, and one that is not, not. KEYS: record, ids, done, times. */
export const SETTLE = `
local complete = redis.call('SCARD', KEYS[2]) == redis.call('SCARD', KEYS[3])
for i = 1, 4 do
  if complete then redis.call('EXPIRE', KEYS[i], ARGV[1]) else redis.call('PERSIST', KEYS[i]) end
end
return 0`;

/**
 * Counts a run at one moment. KEYS: ids, done, times, and the queue's active, delayed and failed. Returns total, done,
 * active, delayed, dead, the number of recent completions, when the first and the last of them were, and the time now, all
 * in milliseconds.
 */
export const COUNT = `
local function open(id)
  return redis.call('SISMEMBER', KEYS[1], id) == 1 and redis.call('SISMEMBER', KEYS[2], id) == 0
end
local active = 0
for _, id in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do
  if open(id) then active = active + 1 end
end
local late = {0, 0}
for i = 1, 2 do
  for _, id in ipairs(redis.call('ZINTER', 2, KEYS[4 + i], KEYS[1])) do
    if redis.call('SISMEMBER', KEYS[2], id) == 0 then late[i] = late[i] + 1 end
  end
end
local now = redis.call('TIME')
local recent = redis.call('LLEN', KEYS[3])
local first = redis.call('LINDEX', KEYS[3], -1) or 0
local last = redis.call('LINDEX', KEYS[3], 0) or 0
return {
  redis.call('SCARD', KEYS[1]), redis.call('SCARD', KEYS[2]), active, late[1], late[2],
  recent, tonumber(first), tonumber(last), now[1] * 1000 + math.floor(now[2] / 1000)
}`;

/** Ids of a run's dead letters, the first to die first. KEYS: ids, done, the queue's failed. */
export const DEAD = `
local dead = {}
for _, id in ipairs(redis.call('ZINTER', 2, KEYS[3], KEYS[1])) do
  if redis.call('SISMEMBER', KEYS[2], id) == 0 then dead[#dead + 1] = id end
end
return dead`;
