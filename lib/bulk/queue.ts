import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { JobsError } from '../errors';
import { PREFIX, runKeys } from './keys';
import { checkRunOptions, type RunOptions } from './run-options';

/** What a job of the queue says. */
export interface JobData {
  readonly run: string;
  /** Absolute. */
  readonly image: string;
  /** Absolute. */
  readonly output: string;
}

/** How long a run that is done is remembered: 30 days, in seconds. */
export const KEEP_SECONDS = 30 * 24 * 3600;

/** Jobs that are done are in their run's set of ids; BullMQ keeps the last ones for those who look into the queue. */
export const REMOVE_ON_COMPLETE = { age: 3600, count: 1000 } as const;

/** Opens a queue on a connection, which stays the caller's. Close it after use. */
export function openQueue(name: string, redis: Redis): Queue<JobData, unknown, 'image'> {
  const queue = new Queue<JobData, unknown, 'image'>(name, { connection: redis, prefix: PREFIX });
  // Without a listener an error would end the process; every call that fails throws as well.
  queue.on('error', () => {});
  return queue;
}

/** The options of a run, or undefined where it is not there (any more). Throws ERR_JOBS_DATA. */
export async function readRun(redis: Redis, queue: string, run: string): Promise<RunOptions | undefined> {
  const text = await redis.hget(runKeys(queue, run).record, 'options');
  if (text === null) return undefined;
  try {
    return checkRunOptions(JSON.parse(text));
  } catch (error) {
    const actual = error instanceof Error ? error.message : String(error);
    throw new JobsError('ERR_JOBS_DATA', `the options of run ${run} are of another version: ${actual}`, {
      actual,
      cause: error,
    });
  }
}

/** ERR_JOBS_RUN_UNKNOWN for a run that is not in the queue. */
export function unknownRun(queue: string, run: string): JobsError {
  return new JobsError('ERR_JOBS_RUN_UNKNOWN', `there is no run ${run} in the queue ${queue}`, {
    expected: 'the name of a run',
    actual: run,
  });
}
