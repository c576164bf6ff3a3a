import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { AbortError, FreqFusionError } from '../../errors';
import type { Ticket } from '../batch-queue';
import { ServerError, shuttingDown } from '../errors';
import type { RenderJob } from './render';
import { type FromWorker, fromPlain, type ToWorker } from './render-messages';
import { bytesOf, transferable } from './transferable';

/** Options of a {@link RenderPool}. */
export interface RenderPoolOptions {
  /** Threads. Default 1. */
  readonly threads?: number;
  /** Jobs that may wait or run before no more are invited. Default 128. */
  readonly jobs?: number;
  /** Bytes of pixels of those jobs. Default 512 MiB. */
  readonly bytes?: number;
  /** The script of a thread, for tests. */
  readonly script?: string;
}

/** Jobs that one thread is given at a time: while libvips encodes the picture of one, the next is painted. */
const AT_ONCE = 2;

/** By this much the limits may be passed by those that were invited before they were reached. */
const OVERRUN = 2;

/** Built by `npm run build`; lib/ and dist/ lie side by side, so it is found from the sources as well. */
const SCRIPT = join(__dirname, '..', '..', '..', 'dist', 'server', 'images', 'render-worker.js');

/** A job that waits or runs. */
class Entry {
  /** Let go as soon as a thread has its own copy. */
  job: RenderJob | undefined;
  readonly id: number;
  readonly bytes: number;
  settled = false;
  thread: Thread | undefined;
  readonly #done: (error: unknown, rendered?: Buffer) => void;

  constructor(id: number, job: RenderJob, done: (error: unknown, rendered?: Buffer) => void) {
    this.id = id;
    this.job = job;
    this.bytes = bytesOf(job);
    this.#done = done;
  }

  settle(error: unknown, rendered?: Buffer): void {
    if (this.settled) return;
    this.settled = true;
    this.job = undefined;
    this.#done(error, rendered);
  }
}

interface Thread {
  readonly worker: Worker;
  readonly running: Map<number, Entry>;
  ready: boolean;
}

/**
 * Threads that make the answers' pictures and long texts, so that the event loop is free. Jobs go through in the order
 * of their arrival; a thread that dies is replaced, and its jobs fail.
 */
export class RenderPool {
  readonly #options: Required<RenderPoolOptions>;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Entry[] = [];
  readonly #idle: (() => void)[] = [];
  #jobs = 0;
  #bytes = 0;
  #next = 1;
  #closed = false;

  constructor(options: RenderPoolOptions = {}) {
    this.#options = { threads: 1, jobs: 128, bytes: 512 * 2 ** 20, script: SCRIPT, ...options };
  }

  /** Jobs that wait or run, and bytes of their pixels. */
  get load(): { jobs: number; bytes: number } {
    return { jobs: this.#jobs, bytes: this.#bytes };
  }

  /** Starts the threads, which takes a moment; otherwise the first jobs do. */
  start(): void {
    if (!this.#closed) this.#startThreads();
  }

  /** Throws ServerError ERR_QUEUE_FULL where an image that was computed now would wait too long for its answer. */
  checkRoom(): void {
    const { jobs, bytes } = this.#options;
    if (this.#jobs >= jobs || this.#bytes >= bytes) throw full(this.#jobs, jobs);
  }

  /**
   * Renders a job on a thread. Rejects with ServerError ERR_QUEUE_FULL, ERR_DEADLINE or ERR_SHUTTING_DOWN, AbortError
   * where the ticket's signal fires, FreqFusionError ERR_INTERNAL where the thread dies, and with what `render` throws.
   */
  render(job: RenderJob, { signal, timeout }: Omit<Ticket, 'priority'> = {}): Promise<Buffer> {
    const refused = this.#refusal(bytesOf(job), signal);
    if (refused !== undefined) return Promise.reject(refused);
    const [entry, rendered] = makeEntry(this.#next++, job);
    const onAbort = () => this.#giveUp(entry, gone(signal!));
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer =
      timeout === undefined ? undefined : setTimeout(() => this.#giveUp(entry, late()), Math.max(0, timeout));
    this.#jobs += 1;
    this.#bytes += entry.bytes;
    this.#waiting.push(entry);
    this.#schedule();
    return rendered.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      this.#jobs -= 1;
      this.#bytes -= entry.bytes;
      if (this.#jobs === 0) for (const each of this.#idle.splice(0)) each();
    });
  }

  /** Takes no more jobs, and ends the threads when those that it has are done. Safe to call twice. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#jobs > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #refusal(bytes: number, signal: AbortSignal | undefined): Error | undefined {
    if (signal?.aborted) return gone(signal);
    if (this.#closed) return shuttingDown();
    const { jobs, bytes: limit } = this.#options;
    const tooMany = this.#jobs >= OVERRUN * jobs;
    return tooMany || (this.#jobs > 0 && this.#bytes + bytes > OVERRUN * limit)
      ? full(this.#jobs, jobs)
      : undefined;
  }

  #giveUp(entry: Entry, error: unknown): void {
    const at = this.#waiting.indexOf(entry);
    if (at >= 0) this.#waiting.splice(at, 1);
    else if (entry.thread?.running.has(entry.id)) post(entry.thread.worker, { cancel: entry.id });
    entry.settle(error);
  }

  #schedule(): void {
    while (this.#waiting.length > 0) {
      this.#startThreads();
      const [least] = [...this.#threads].sort((a, b) => a.running.size - b.running.size);
      if (least === undefined || least.running.size >= AT_ONCE) return;
      void this.#give(least, this.#waiting.shift()!);
    }
  }

  async #give(thread: Thread, entry: Entry): Promise<void> {
    entry.thread = thread;
    thread.running.set(entry.id, entry);
    thread.worker.ref();
    try {
      const { job, buffers } = await transferable(entry.job!);
      entry.job = undefined;
      // It may have been given up, or its thread may have died, while its pixels were copied.
      if (entry.settled) this.#take(thread, entry.id);
      else post(thread.worker, { id: entry.id, job }, buffers);
    } catch (error) {
      this.#take(thread, entry.id);
      entry.settle(error);
    }
  }

  #take(thread: Thread, id: number): Entry | undefined {
    const entry = thread.running.get(id);
    thread.running.delete(id);
    if (thread.running.size === 0) thread.worker.unref();
    this.#schedule();
    return entry;
  }

  #startThreads(): void {
    while (this.#threads.size < this.#options.threads) this.#startThread();
  }

  #startThread(): void {
    const worker = new Worker(this.#options.script, { name: 'freqfusion-render', execArgv: [] });
    const thread: Thread = { worker, running: new Map(), ready: false };
    this.#threads.add(thread);
    worker.unref();
    let cause: unknown;
    worker.on('message', (message: FromWorker) => {
      if ('ready' in message) {
        thread.ready = true;
        return;
      }
      const entry = this.#take(thread, message.id);
      if ('error' in message) entry?.settle(fromPlain(message.error));
      else entry?.settle(undefined, Buffer.from(message.bytes));
    });
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', () => this.#onExit(thread, cause));
  }

  #onExit(thread: Thread, cause: unknown): void {
    this.#threads.delete(thread);
    const died = new FreqFusionError('ERR_INTERNAL', 'the thread that rendered the answer died', { cause });
    for (const entry of thread.running.values()) entry.settle(died);
    thread.running.clear();
    // Where threads cannot even start, a new one would not help those that wait.
    if (!thread.ready) for (const entry of this.#waiting.splice(0)) entry.settle(died);
    this.#schedule();
  }
}

/** An entry and the promise of its bytes. The promise's closures know the entry alone: what they see lives on. */
function makeEntry(id: number, job: RenderJob): [Entry, Promise<Buffer>] {
  let done!: (error: unknown, rendered?: Buffer) => void;
  const promise = new Promise<Buffer>((resolve, reject) => {
    done = (error, rendered) => (rendered === undefined ? reject(error) : resolve(rendered));
  });
  return [new Entry(id, job, done), promise];
}

function post(worker: Worker, message: ToWorker, transfer: ArrayBuffer[] = []): void {
  worker.postMessage(message, transfer);
}

function full(jobs: number, limit: number): ServerError {
  return new ServerError('ERR_QUEUE_FULL', `${jobs} answers are being made already`, {
    expected: `at most ${limit} answers that are being made`,
    actual: `${jobs}`,
    retryAfter: 1,
  });
}

function late(): ServerError {
  return new ServerError('ERR_DEADLINE', 'the answer was not made in time', {
    expected: 'an answer within the time of the request',
    actual: 'none',
  });
}

function gone(signal: AbortSignal): AbortError {
  return new AbortError('ERR_ABORTED', 'the client has gone', { cause: signal.reason });
}
