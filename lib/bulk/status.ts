import type { Redis } from 'ioredis';
import { checkInteger } from '../check';
import { readFailure } from './failures';
import { DEFAULT_QUEUE, queueKeys, runKeys } from './keys';
import { type JobData, unknownRun } from './queue';
import { DEFAULT_REDIS, withRedis } from './redis';
import { COUNT, DEAD } from './scripts';
import type { QueuePlace } from './submit';

/** How a run stands, at one moment. `waiting + active + delayed + done + dead` is `total`. */
export interface RunStatus {
  readonly run: string;
  readonly task: string;
  readonly format: string;
  /** When it was first submitted, as an ISO date. */
  readonly created: string;
  readonly total: number;
  readonly waiting: number;
  readonly active: number;
  /** Waiting for another try. */
  readonly delayed: number;
  /** Images whose output is there. None is counted twice, whatever became of its worker. */
  readonly done: number;
  /** Images that were given up; see {@link DeadLetter}. */
  readonly dead: number;
  /** Images a second, of the last 200 that were done; 0 where fewer than two were. */
  readonly rate: number;
  /** At that rate; null where there is none. */
  readonly secondsLeft: number | null;
}

/** An image that was given up, and why. */
export interface DeadLetter {
  readonly id: string;
  readonly run: string;
  readonly image: string;
  readonly output: string;
  readonly code: string;
  readonly error: string;
  readonly attempts: number;
  /** When, as an ISO date. */
  readonly at: string;
}

/**
 * Says how one run of a queue stands, or all of them, the oldest first. Throws ERR_REDIS_..., and
 * ERR_JOBS_RUN_UNKNOWN for a run that is not there.
 */
export async function runStatus(place: QueuePlace & { run?: string } = {}): Promise<RunStatus[]> {
  const { redis: url = DEFAULT_REDIS, queue = DEFAULT_QUEUE, run } = place;
  return withRedis(url, (redis) => readStatus(redis, queue, run));
}

/** Lists dead letters of one run, or of all, those first that died first; at most `limit` (default all). */
export async function deadLetters(
  place: QueuePlace & { run?: string; limit?: number } = {},
): Promise<DeadLetter[]> {
  const { redis: url = DEFAULT_REDIS, queue = DEFAULT_QUEUE, run, limit = Number.MAX_SAFE_INTEGER } = place;
  checkInteger(limit, 'limit', 1);
  return withRedis(url, (redis) => readDeadLetters(redis, queue, run, limit));
}

/** As {@link runStatus}, over an open connection. */
export async function readStatus(redis: Redis, queue: string, run?: string): Promise<RunStatus[]> {
  const { active, delayed, failed } = queueKeys(queue);
  const found: RunStatus[] = [];
  for (const name of await runsOf(redis, queue, run)) {
    const { record, ids, done, times } = runKeys(queue, name);
    const { task = '', format = '', created } = await redis.hgetall(record);
    const counted = (await redis.eval(COUNT, 6, ids, done, times, active, delayed, failed)) as number[];
    found.push({
      run: name,
      task,
      format,
      created: new Date(Number(created)).toISOString(),
      ...tally(counted),
    });
  }
  return found;
}

/** As {@link deadLetters}, over an open connection. */
export async function readDeadLetters(
  redis: Redis,
  queue: string,
  run: string | undefined,
  limit: number,
): Promise<DeadLetter[]> {
  const { job } = queueKeys(queue);
  const letters: DeadLetter[] = [];
  for (const name of await runsOf(redis, queue, run)) {
    for (const id of (await deadIds(redis, queue, name)).slice(0, limit - letters.length)) {
      const { data, failedReason = '', atm, finishedOn } = await redis.hgetall(job(id));
      if (data === undefined) continue;
      const { image, output } = JSON.parse(data) as JobData;
      letters.push({
        ...{ id, run: name, image, output, ...readFailure(failedReason) },
        attempts: Number(atm ?? 0),
        at: new Date(Number(finishedOn ?? 0)).toISOString(),
      });
    }
  }
  return letters;
}

/** Ids of a run's dead letters. */
export async function deadIds(redis: Redis, queue: string, run: string): Promise<string[]> {
  const { ids, done } = runKeys(queue, run);
  return (await redis.eval(DEAD, 3, ids, done, queueKeys(queue).failed)) as string[];
}

/** Names of the runs of a queue, or the one that is asked for. Throws ERR_JOBS_RUN_UNKNOWN. */
export async function runsOf(redis: Redis, queue: string, run?: string): Promise<string[]> {
  const { runs } = queueKeys(queue);
  if (run !== undefined) {
    if ((await redis.exists(runKeys(queue, run).record)) === 0) throw unknownRun(queue, run);
    return [run];
  }
  const names = (await redis.zrange(runs, 0, '-1')) as string[];
  const there: string[] = [];
  for (const name of names) {
    if ((await redis.exists(runKeys(queue, name).record)) === 1) there.push(name);
    else await redis.zrem(runs, name);
  }
  return there;
}

function tally(counted: readonly number[]) {
  const [total = 0, done = 0, active = 0, delayed = 0, dead = 0, recent = 0, first = 0, last = 0, now = 0] =
    counted;
  const waiting = Math.max(0, total - done - active - delayed - dead);
  const left = waiting + active + delayed;
  // While something is left, until now and not until the last one: where nobody works any more, the rate falls.
  const span = (left > 0 ? now : last) - first;
  const rate = span > 0 ? recent / (span / 1000) : 0;
  return {
    ...{ total, waiting, active, delayed, done, dead, rate },
    secondsLeft: left === 0 ? 0 : rate > 0 ? left / rate : null,
  };
}
