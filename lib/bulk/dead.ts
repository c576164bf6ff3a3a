import { DEFAULT_QUEUE, queueKeys, runKeys } from './keys';
import { openQueue } from './queue';
import { DEFAULT_REDIS, withRedis } from './redis';
import { deadIds, runsOf } from './status';
import type { QueuePlace } from './submit';

/**
 * Puts the dead letters of one run, or of all, back into the queue, with all of their tries; resolves to their number.
 * Throws ERR_REDIS_..., ERR_JOBS_RUN_UNKNOWN.
 */
export async function retryDead(place: QueuePlace & { run?: string } = {}): Promise<number> {
  const { redis: url = DEFAULT_REDIS, queue: name = DEFAULT_QUEUE, run } = place;
  return withRedis(url, async (redis) => {
    const queue = openQueue(name, redis);
    const { job: jobKey } = queueKeys(name);
    try {
      let count = 0;
      for (const each of await runsOf(redis, name, run)) {
        for (const id of await deadIds(redis, name, each)) {
          const job = await queue.getJob(id);
          if (job === undefined) continue;
          // BullMQ's own record of stalls would let it fail again at once.
          await redis.hdel(jobKey(id), 'stc', 'defa');
          await job.retry('failed', { resetAttemptsMade: true });
          count += 1;
        }
      }
      return count;
    } finally {
      await queue.close();
    }
  });
}

/**
 * Takes the jobs of a run that wait, or are dead letters, out of the queue; those that are computed end. Resolves to
 * the number that was taken out. Submitting the run again puts them back. Throws ERR_REDIS_..., ERR_JOBS_RUN_UNKNOWN.
 */
export async function cancelRun({
  run,
  redis: url = DEFAULT_REDIS,
  queue: name = DEFAULT_QUEUE,
}: QueuePlace & { run: string }): Promise<number> {
  return withRedis(url, async (redis) => {
    await runsOf(redis, name, run);
    const queue = openQueue(name, redis);
    const keys = runKeys(name, run);
    try {
      let count = 0;
      let cursor = '0';
      do {
        const [next, ids] = await redis.sscan(keys.ids, cursor, 'COUNT', 500);
        cursor = next;
        const flags = ids.length === 0 ? [] : await redis.smismember(keys.done, ...ids);
        const open = ids.filter((_, i) => flags[i] === 0);
        const removed = await Promise.all(open.map((id) => queue.remove(id)));
        const gone = open.filter((_, i) => removed[i] === 1);
        if (gone.length > 0) await redis.srem(keys.ids, ...gone);
        count += gone.length;
      } while (cursor !== '0');
      if ((await redis.scard(keys.ids)) === 0) {
        await redis.del(keys.record, keys.ids, keys.done, keys.times);
        await redis.zrem(queueKeys(name).runs, run);
      }
      return count;
    } finally {
      await queue.close();
    }
  });
}
