import { type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { checkInteger, checkNumber } from '../check';
import { emptyCache, setThreads } from '../device';
import { JobsError, OutOfMemoryError } from '../errors';
import { native } from '../native';
import { exists } from './atomic';
import { computeJob, type ImageJob } from './compute';
import { failureLine, kindOf, readFailure } from './failures';
import { DEFAULT_QUEUE, PREFIX, queueKeys, runKeys } from './keys';
import { ModelCache, type Place } from './model-cache';
import { type JobData, KEEP_SECONDS, openQueue, readRun } from './queue';
import { abandonRedis, closeRedis, DEFAULT_REDIS, isRedisFailure, openRedis, redactUrl } from './redis';
import { FINISH } from './scripts';
import type { QueuePlace } from './submit';

/** How long a worker that is to end waits for a Redis that is away. */
const GIVE_UP_MILLISECONDS = 5000;
const LOOK_MILLISECONDS = 200;

/** What a worker says while it works. */
export type WorkEvent =
  | ({ readonly type: 'done'; readonly run: string; readonly milliseconds: number } & ImageJob)
  /** The output was there already, from a worker that ended before it could say so, or the run was cancelled. */
  | ({ readonly type: 'skipped'; readonly run: string } & ImageJob)
  | ({
      readonly type: 'failed';
      readonly run: string;
      readonly code: string;
      readonly error: string;
      /** Whether it is a dead letter now; otherwise it is tried again. */
      readonly dead: boolean;
    } & ImageJob)
  /** Redis went away or came back; said once each. */
  | { readonly type: 'redis'; readonly state: 'lost' | 'back'; readonly url: string }
  /** Something that BullMQ remarks, such as a lock that was lost. */
  | { readonly type: 'warning'; readonly message: string };

/** Options of a worker. */
export interface WorkerOptions extends QueuePlace, Place {
  /** Images on their way at once: one is computed while others are read and written. Default 2. */
  concurrency?: number;
  /** CPU threads of one image. Default one per core. */
  threads?: number;
  /** Loaded models that are kept while nobody uses them. Default 2. */
  models?: number;
  /**
   * Seconds after which a job of a worker that says nothing any more is free; it is renewed at half of it. Default 15:
   * longer than anything that blocks a live worker, short enough that a dead one's images do not wait long.
   */
  lockSeconds?: number;
  /** Seconds between looks for such jobs. Default 5. */
  stalledSeconds?: number;
  /** How often a job may be left by a worker that died before it is a dead letter: it may be what kills them. Default 3. */
  maxStalls?: number;
  onEvent?: (event: WorkEvent) => void;
}

/** What one worker did. */
export interface WorkSummary {
  readonly done: number;
  /** Images whose output was there, or whose run was cancelled. */
  readonly skipped: number;
  /** Images that became dead letters here. */
  readonly dead: number;
}

/**
 * Computes jobs of a queue, of whatever run, until it is drained. Delivery is at least once and outputs are
 * idempotent: a job that two workers compute gives one file, and is counted once.
 */
export class BulkWorker {
  readonly #redis: Redis;
  readonly #name: string;
  readonly #worker: Worker<JobData, unknown, 'image'>;
  readonly #models: ModelCache;
  readonly #emit: (event: WorkEvent) => void;
  readonly #count = { done: 0, skipped: 0, dead: 0 };
  readonly #ended: Promise<void>;
  #closing = false;
  #over = false;
  #fatal: unknown;

  private constructor(redis: Redis, options: WorkerOptions) {
    const { queue = DEFAULT_QUEUE, redis: url = DEFAULT_REDIS, onEvent, device, cudaGraph } = options;
    const { concurrency = 2, models = 2, lockSeconds = 15, stalledSeconds = 5, maxStalls = 3 } = options;
    this.#redis = redis;
    this.#name = queue;
    this.#emit = onEvent ?? (() => {});
    this.#models = new ModelCache(
      { ...(device !== undefined && { device }), ...(cudaGraph !== undefined && { cudaGraph }) },
      models,
    );
    this.#worker = new Worker<JobData, unknown, 'image'>(queue, (job, token) => this.#process(job, token), {
      connection: redis,
      prefix: PREFIX,
      concurrency,
      lockDuration: lockSeconds * 1000,
      stalledInterval: stalledSeconds * 1000,
      maxStalledCount: maxStalls,
      // How long an acknowledgement waits after the connection was lost; it waits for the connection itself, too.
      runRetryDelay: 1000,
      drainDelay: 2,
    });
    this.#listen(redactUrl(url));
    this.#ended = new Promise((resolve) => {
      this.#worker.once('closed', () => {
        this.#over = true;
        resolve();
      });
    });
  }

  /**
   * Connects and begins to work. Throws ERR_REDIS_..., ERR_RANGE for an option, ERR_ADDON_... where the native addon
   * does not load, and ERR_OPTION_VALUE for the queue's name.
   */
  static async start(options: WorkerOptions = {}): Promise<BulkWorker> {
    const { concurrency = 2, models = 2, lockSeconds = 15, stalledSeconds = 5, maxStalls = 3 } = options;
    checkInteger(concurrency, 'concurrency', 1, 1024);
    checkInteger(models, 'models', 0, 1024);
    checkInteger(maxStalls, 'maxStalls', 0, 1000);
    checkNumber(lockSeconds, 'lockSeconds', { min: 0.1, max: 86_400 });
    checkNumber(stalledSeconds, 'stalledSeconds', { min: 0.1, max: 86_400 });
    queueKeys(options.queue ?? DEFAULT_QUEUE);
    // Before the first job is taken: without the addon every one of them would fail.
    native();
    if (options.threads !== undefined) setThreads(options.threads);
    return new BulkWorker(await openRedis(options.redis ?? DEFAULT_REDIS), options);
  }

  /** Resolves once the queue is empty: nothing waits, is delayed, or is computed by whatever worker. */
  async idle(): Promise<void> {
    const queue = openQueue(this.#name, this.#redis);
    try {
      while (!this.#closing) {
        const counts = await queue.getJobCounts('wait', 'delayed', 'active');
        if (Object.values(counts).every((count) => count === 0)) return;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    } finally {
      await queue.close();
    }
  }

  /** Takes no more jobs, ends those that are computed, and closes. Safe to call twice. */
  async drain(): Promise<WorkSummary> {
    if (!this.#closing) {
      this.#closing = true;
      void this.#worker.close();
      void this.#closeWithoutRedis();
    }
    return this.ended();
  }

  /** Where Redis is away, there is nobody to say to what is done: others will find it. */
  async #closeWithoutRedis(): Promise<void> {
    for (let away = 0; away < GIVE_UP_MILLISECONDS && !this.#over; ) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS).unref());
      away = this.#redis.status === 'ready' ? 0 : away + LOOK_MILLISECONDS;
    }
    if (!this.#over) abandonRedis(this.#redis);
  }

  /** Resolves once the worker has ended; rejects with what made it unable to go on, such as a GPU that was lost. */
  async ended(): Promise<WorkSummary> {
    await this.#ended;
    await closeRedis(this.#redis);
    this.#models.shrink(0);
    if (this.#fatal !== undefined) throw this.#fatal;
    return { ...this.#count };
  }

  async #process(job: Job<JobData, unknown, 'image'>, token: string | undefined): Promise<unknown> {
    const { run, image, output } = checkData(job.data);
    const started = performance.now();
    try {
      const options = await readRun(this.#redis, this.#name, run);
      if (options === undefined || (await this.#isDone(run, job.id!, output))) {
        this.#count.skipped += 1;
        this.#emit({ type: 'skipped', run, image, output });
        return { output };
      }
      const writer = { id: job.id!, attempt: Math.max(1, job.attemptsStarted) };
      await this.#models.use(options, (model) => computeJob(model, options, { image, output }, writer));
    } catch (error) {
      return this.#failed(job, token, error);
    }
    const { record, ids, done, times } = runKeys(this.#name, run);
    await this.#redis.eval(FINISH, 4, record, ids, done, times, job.id!, KEEP_SECONDS);
    this.#count.done += 1;
    this.#emit({ type: 'done', run, image, output, milliseconds: performance.now() - started });
    return { output };
  }

  /** The output was written whole before its id was noted: with both there is nothing to compute. */
  async #isDone(run: string, id: string, output: string): Promise<boolean> {
    const noted = await this.#redis.sismember(runKeys(this.#name, run).done, id);
    return noted === 1 && (await exists(output));
  }

  /** Turns an error into what makes BullMQ try again, give up, or take the job back. */
  async #failed(
    job: Job<JobData, unknown, 'image'>,
    token: string | undefined,
    error: unknown,
  ): Promise<never> {
    const kind = kindOf(error);
    if (kind === 'worker') {
      this.#fatal ??= error;
      await job.moveToWait(token);
      void this.drain().catch(() => undefined);
      throw new WaitingError();
    }
    if (error instanceof OutOfMemoryError) {
      this.#models.shrink(1);
      emptyCache();
    }
    const line = failureLine(error);
    throw kind === 'input' ? new UnrecoverableError(line) : new Error(line);
  }

  #listen(url: string): void {
    this.#worker.on('failed', (job, error) => {
      if (job === undefined) return;
      const { run, image, output } = job.data;
      const dead = job.finishedOn !== undefined && job.finishedOn !== null;
      if (dead) this.#count.dead += 1;
      this.#emit({ type: 'failed', run, image, output, ...readFailure(error.message), dead });
    });
    this.#worker.on('error', (error) => {
      if (isRedisFailure(error) || this.#closing) return;
      this.#emit({ type: 'warning', message: error.message });
    });
    let lost = false;
    this.#redis.on('close', () => {
      if (lost || this.#closing) return;
      lost = true;
      this.#emit({ type: 'redis', state: 'lost', url });
    });
    this.#redis.on('ready', () => {
      if (lost) this.#emit({ type: 'redis', state: 'back', url });
      lost = false;
    });
  }
}

/**
 * Works until the queue is empty (`once`), or until the signal fires: then the jobs that are computed end first. Throws
 * what {@link BulkWorker.start} throws, and what made the worker unable to go on.
 */
export async function workRuns(
  options: WorkerOptions & { once?: boolean; signal?: AbortSignal } = {},
): Promise<WorkSummary> {
  const { once = false, signal, ...rest } = options;
  const worker = await BulkWorker.start(rest);
  const stop = () => void worker.drain().catch(() => undefined);
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  try {
    if (once) await worker.idle().finally(stop);
    return await worker.ended();
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

function checkData(data: unknown): JobData {
  const { run, image, output } = (data ?? {}) as Partial<Record<keyof JobData, unknown>>;
  if (typeof run === 'string' && typeof image === 'string' && typeof output === 'string')
    return { run, image, output };
  throw new UnrecoverableError(
    failureLine(new JobsError('ERR_JOBS_DATA', 'a job of the queue was not put there by this program')),
  );
}
