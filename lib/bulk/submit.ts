import { isAbsolute, resolve } from 'node:path';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { checkInteger } from '../check';
import { invalidArgument, JobsError } from '../errors';
import type { ImageJob } from './compute';
import { DEFAULT_QUEUE, queueKeys, runKeys } from './keys';
import { type JobData, KEEP_SECONDS, openQueue, REMOVE_ON_COMPLETE } from './queue';
import { DEFAULT_REDIS, withRedis } from './redis';
import { checkName, checkRunOptions, digest, type RunOptions } from './run-options';
import { SETTLE } from './scripts';

/** Where a queue is. */
export interface QueuePlace {
  /** redis://[user:password@]host[:port][/database], or rediss:// for TLS. Default redis://127.0.0.1:6379. */
  redis?: string;
  /** Name of the queue. Default 'images'. */
  queue?: string;
}

/** What {@link submitRun} puts into a queue. */
export interface Submission extends QueuePlace {
  /** Images and their outputs; paths are made absolute, and workers must see the same files under them. */
  jobs: readonly ImageJob[];
  options: RunOptions;
  /** Default: the task with a digest of options and place, so that the same submission is the same run. */
  run?: string;
  /** Tries of an image whose failure may pass, such as a full disk; 1 to 100. Default 4. */
  attempts?: number;
  /** Milliseconds before the second try; each further one waits twice as long. Default 2000. */
  backoff?: number;
  /** Jobs that go to Redis at once. Default 500. */
  chunk?: number;
  onProgress?: (progress: { submitted: number; total: number }) => void;
}

/** What became of a submission. */
export interface Submitted {
  readonly run: string;
  readonly queue: string;
  /** Images of this submission. */
  readonly total: number;
  /** Jobs that were not in the queue before. */
  readonly added: number;
  /** Jobs whose output is there already. */
  readonly done: number;
  /** Jobs that wait, are computed, or are dead letters. */
  readonly present: number;
}

/**
 * Puts images into a queue, one job each, in chunks. A job's id is a digest of the run's name, image, output and
 * options: whoever submits twice, or again after an interruption, adds only what is missing.
 *
 * Throws ERR_REDIS_... for Redis, ERR_JOBS_RUN_OPTIONS where the run is there with other options, and what
 * {@link checkRunOptions} throws.
 */
export async function submitRun(submission: Submission): Promise<Submitted> {
  const {
    redis: url = DEFAULT_REDIS,
    queue: name = DEFAULT_QUEUE,
    attempts = 4,
    backoff = 2000,
  } = submission;
  const { chunk = 500, onProgress } = submission;
  checkInteger(attempts, 'attempts', 1, 100);
  checkInteger(backoff, 'backoff', 1);
  checkInteger(chunk, 'chunk', 1, 10_000);
  const options = absoluteModel(checkRunOptions(submission.options));
  const text = JSON.stringify(options);
  const jobs = submission.jobs.map(({ image, output }) => ({
    image: resolve(image),
    output: resolve(output),
  }));
  if (jobs.length === 0) throw invalidArgument('ERR_RANGE', 'jobs', 'at least one image', jobs);
  const run = checkName(
    submission.run ?? `${options.task}-${digest(text, folderOf(jobs[0]!)).slice(0, 8)}`,
    'run',
  );
  queueKeys(name);
  return withRedis(url, async (redis) => {
    await register(redis, name, run, options, text);
    const queue = openQueue(name, redis);
    try {
      let [added, done] = [0, 0];
      for (let at = 0; at < jobs.length; at += chunk) {
        const part = jobs
          .slice(at, at + chunk)
          .map((job) => ({ ...job, id: digest(run, job.image, job.output, text) }));
        const counts = await addChunk({ redis, queue, run, part, attempts, backoff });
        added += counts.added;
        done += counts.done;
        onProgress?.({ submitted: at + part.length, total: jobs.length });
      }
      const { record, ids, done: doneKey, times } = runKeys(name, run);
      await redis.eval(SETTLE, 4, record, ids, doneKey, times, KEEP_SECONDS);
      return { run, queue: name, total: jobs.length, added, done, present: jobs.length - added - done };
    } finally {
      await queue.close();
    }
  });
}

interface Chunk {
  readonly redis: Redis;
  readonly queue: Queue<JobData, unknown, 'image'>;
  readonly run: string;
  readonly part: readonly (ImageJob & { id: string })[];
  readonly attempts: number;
  readonly backoff: number;
}

async function addChunk({ redis, queue, run, part, attempts, backoff }: Chunk) {
  const keys = runKeys(queue.name, run);
  const { job: jobKey } = queueKeys(queue.name);
  const look = redis.pipeline();
  for (const { id } of part) look.sismember(keys.done, id).exists(jobKey(id));
  const seen = ((await look.exec()) ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply === 1;
  });
  const done = part.filter((_, i) => seen[2 * i]);
  const fresh = part.filter((_, i) => !seen[2 * i] && !seen[2 * i + 1]);
  if (fresh.length > 0) {
    await queue.addBulk(
      fresh.map(({ id, image, output }) => ({
        name: 'image' as const,
        data: { run, image, output },
        opts: {
          jobId: id,
          attempts,
          backoff: { type: 'exponential', delay: backoff },
          removeOnComplete: { ...REMOVE_ON_COMPLETE },
          // What failed stays, whole: it is the list of dead letters.
          removeOnFail: false,
          stackTraceLimit: 0,
        },
      })),
    );
  }
  // After the jobs: an id without its job would be waited for for ever.
  await redis.sadd(keys.ids, ...part.map(({ id }) => id));
  return { added: fresh.length, done: done.length };
}

async function register(
  redis: Redis,
  queue: string,
  run: string,
  { task, format }: RunOptions,
  text: string,
): Promise<void> {
  const { record, ids, done, times } = runKeys(queue, run);
  await redis.hsetnx(record, 'options', text);
  const stored = await redis.hget(record, 'options');
  if (stored !== text) {
    throw new JobsError(
      'ERR_JOBS_RUN_OPTIONS',
      `the run ${run} is there with other options: choose another name`,
      { expected: stored ?? 'a run', actual: text },
    );
  }
  const now = Date.now();
  const write = redis.multi().hsetnx(record, 'created', now).hset(record, { task, format });
  for (const key of [record, ids, done, times]) write.persist(key);
  await write.zadd(queueKeys(queue).runs, 'NX', now, run).exec();
}

/** Workers have working folders of their own. */
function absoluteModel(options: RunOptions): RunOptions {
  const { model } = options;
  if (model === undefined) return options;
  const { checkpoint, architecture } = model;
  const path = architecture !== undefined && /[\\/]|\.json$/.test(architecture);
  return {
    ...options,
    model: {
      ...model,
      ...(checkpoint !== undefined && { checkpoint: resolve(checkpoint) }),
      ...(architecture !== undefined &&
        path &&
        !isAbsolute(architecture) && { architecture: resolve(architecture) }),
    },
  };
}

function folderOf({ output }: ImageJob): string {
  return resolve(output, '..');
}
