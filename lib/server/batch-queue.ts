import { AbortError } from '../errors';
import { ServerError, shuttingDown } from './errors';

/** How urgent a request is; those of a higher priority go first, those of the same in the order of their arrival. */
export type Priority = 'high' | 'normal' | 'low';

const RANK: Readonly<Record<Priority, number>> = { high: 0, normal: 1, low: 2 };

/** What a request says of its own waiting. */
export interface Ticket {
  /** Default 'normal'. */
  readonly priority?: Priority;
  /** Milliseconds from now within which the answer is of use. Default: no limit. */
  readonly timeout?: number;
  /** Set when the client has gone. */
  readonly signal?: AbortSignal;
}

/** What came of one item of a batch. */
export type Outcome<Result> =
  | { readonly ok: true; readonly result: Result }
  | { readonly ok: false; readonly error: unknown };

/** What became of one item, and how it got there. */
export interface Served<Result> {
  readonly result: Result;
  /** Milliseconds that it waited. */
  readonly waited: number;
  /** Items that went through together with it, itself included. */
  readonly batch: number;
}

/** What makes a {@link BatchQueue}. */
export interface BatchQueueInit<Item, Result> {
  /** Items of a batch at most, and the milliseconds that the first of them waits for others. */
  readonly batch: { readonly size: number; readonly delay: number };
  /** Items and bytes that may wait. */
  readonly queue: { readonly length: number; readonly bytes: number };
  /** Batches in flight at once. */
  readonly instances: number;
  /** Items go into one batch where this is the same. */
  keyOf(item: Item): string;
  bytesOf(item: Item): number;
  /** Computes a batch: an outcome for each item, in order. The signal is set when nobody waits for any of them. */
  run(items: readonly Item[], signal: AbortSignal): Promise<readonly Outcome<Result>[]>;
  /** Frees a result that nobody waits for any more. */
  discard?(result: Result): void;
  /** Told of every batch that has started. */
  onBatch?(items: number, waited: readonly number[]): void;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly rank: number;
  readonly key: string;
  readonly bytes: number;
  readonly since: number;
  settled: boolean;
  batch?: Running;
  readonly settle: (outcome: Outcome<Served<Result>>) => void;
}

/** A batch on its way: it is given up when all of its items were. */
interface Running {
  wanted: number;
  readonly controller: AbortController;
}

/**
 * A queue before a model: items of the same kind go through it together, a few batches are in flight at once, and what
 * does not fit is refused at once instead of waiting for longer than anybody would.
 */
export class BatchQueue<Item, Result> {
  readonly #init: BatchQueueInit<Item, Result>;
  readonly #waiting: Waiting<Item, Result>[] = [];
  readonly #running = new Set<readonly Waiting<Item, Result>[]>();
  readonly #idle: (() => void)[] = [];
  #bytes = 0;
  #inFlight = 0;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  /** Milliseconds of one image, a moving average. */
  #pace = 0;

  constructor(init: BatchQueueInit<Item, Result>) {
    this.#init = init;
  }

  /** Items that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Bytes of the items that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Items that are being computed. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Seconds after which a place is likely to be free, from 1 to 60. */
  get retryAfter(): number {
    return Math.min(60, Math.max(1, Math.ceil((this.#pace * this.#waiting.length) / 1000)));
  }

  /**
   * Puts an item into the queue and resolves to its result.
   * Rejects with ServerError ERR_QUEUE_FULL, ERR_DEADLINE or ERR_SHUTTING_DOWN, AbortError where the ticket's signal is
   * set, and with what `run` gave for the item.
   */
  async submit(item: Item, { priority = 'normal', timeout, signal }: Ticket = {}): Promise<Served<Result>> {
    if (signal?.aborted) throw gone(signal);
    if (this.#closed) throw shuttingDown();
    const bytes = this.#init.bytesOf(item);
    this.#checkRoom(bytes);
    if (timeout !== undefined && timeout <= 0) throw late(0);
    return new Promise((resolve, reject) => {
      const entry: Waiting<Item, Result> = {
        item,
        rank: RANK[priority],
        key: this.#init.keyOf(item),
        bytes,
        since: performance.now(),
        settled: false,
        settle: (outcome) => {
          if (entry.settled) return;
          entry.settled = true;
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          if (outcome.ok) resolve(outcome.result);
          else reject(outcome.error);
        },
      };
      const onAbort = () => this.#giveUp(entry, gone(signal!));
      const timer =
        timeout === undefined ? undefined : setTimeout(() => this.#giveUp(entry, late(timeout)), timeout);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#insert(entry);
      this.#schedule();
    });
  }

  /** Takes no more items, and resolves when those that it has are done. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#schedule();
    await this.idle();
  }

  /** Resolves when nothing waits or runs. */
  async idle(): Promise<void> {
    if (this.#waiting.length === 0 && this.#running.size === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Takes no more items, and rejects everything that waits or runs as `error`. */
  abort(error: unknown): void {
    this.#closed = true;
    for (const entry of [...this.#waiting, ...[...this.#running].flat()]) this.#giveUp(entry, error);
    this.#schedule();
  }

  #checkRoom(bytes: number): void {
    const { length, bytes: limit } = this.#init.queue;
    const retryAfter = this.retryAfter;
    if (this.#waiting.length >= length) {
      throw new ServerError('ERR_QUEUE_FULL', `${length} images wait already`, {
        expected: `at most ${length} waiting images`,
        actual: `${this.#waiting.length + 1}`,
        retryAfter,
      });
    }
    if (this.#waiting.length > 0 && this.#bytes + bytes > limit) {
      throw new ServerError('ERR_QUEUE_FULL', `${this.#bytes} bytes of images wait already`, {
        expected: `at most ${limit} bytes of waiting images`,
        actual: `${this.#bytes + bytes} bytes`,
        retryAfter,
      });
    }
  }

  #insert(entry: Waiting<Item, Result>): void {
    let at = this.#waiting.length;
    while (at > 0 && this.#waiting[at - 1]!.rank > entry.rank) at -= 1;
    this.#waiting.splice(at, 0, entry);
    this.#bytes += entry.bytes;
  }

  #remove(entry: Waiting<Item, Result>): boolean {
    const at = this.#waiting.indexOf(entry);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    this.#bytes -= entry.bytes;
    return true;
  }

  #giveUp(entry: Waiting<Item, Result>, error: unknown): void {
    if (entry.settled) return;
    this.#remove(entry);
    if (entry.batch !== undefined) {
      entry.batch.wanted -= 1;
      if (entry.batch.wanted === 0) entry.batch.controller.abort(error);
    }
    entry.settle({ ok: false, error });
    this.#reportIdle();
  }

  /** Starts what may start now, and sets the clock for what may start later. */
  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#running.size < this.#init.instances && this.#waiting.length > 0) {
      const next = this.#next();
      if (typeof next === 'number') {
        this.#timer = setTimeout(() => this.#schedule(), next);
        return;
      }
      for (const entry of next) this.#remove(entry);
      void this.#start(next);
    }
  }

  /**
   * The batch to start: that of the first item whose batch is full or has waited long enough, so that items which
   * nothing can join hold nobody up. Where there is none, the milliseconds until there is.
   */
  #next(): Waiting<Item, Result>[] | number {
    const { size, delay } = this.#init.batch;
    const groups = new Map<string, Waiting<Item, Result>[]>();
    for (const entry of this.#waiting) {
      const group = groups.get(entry.key);
      if (group === undefined) groups.set(entry.key, [entry]);
      else if (group.length < size) group.push(entry);
    }
    const now = performance.now();
    let soonest = Number.POSITIVE_INFINITY;
    for (const group of groups.values()) {
      const left = Math.min(...group.map(({ since }) => since)) + delay - now;
      if (group.length === size || left <= 0 || this.#closed) return group;
      soonest = Math.min(soonest, left);
    }
    return soonest;
  }

  async #start(entries: readonly Waiting<Item, Result>[]): Promise<void> {
    const started = performance.now();
    const running: Running = { wanted: entries.length, controller: new AbortController() };
    for (const entry of entries) entry.batch = running;
    this.#running.add(entries);
    this.#inFlight += entries.length;
    const waited = entries.map(({ since }) => started - since);
    try {
      this.#init.onBatch?.(entries.length, waited);
      const outcomes = await this.#init.run(
        entries.map(({ item }) => item),
        running.controller.signal,
      );
      for (const [i, entry] of entries.entries()) {
        const outcome = outcomes[i] ?? {
          ok: false,
          error: new Error('the batch has no outcome for an item'),
        };
        if (entry.settled && outcome.ok) this.#init.discard?.(outcome.result);
        entry.settle(
          outcome.ok
            ? { ok: true, result: { result: outcome.result, waited: waited[i]!, batch: entries.length } }
            : outcome,
        );
      }
    } catch (error) {
      for (const entry of entries) entry.settle({ ok: false, error });
    } finally {
      const each = (performance.now() - started) / entries.length / this.#init.instances;
      this.#pace = this.#pace === 0 ? each : 0.8 * this.#pace + 0.2 * each;
      this.#running.delete(entries);
      this.#inFlight -= entries.length;
      this.#schedule();
      this.#reportIdle();
    }
  }

  #reportIdle(): void {
    if (this.#waiting.length > 0 || this.#running.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function gone(signal: AbortSignal): AbortError {
  return new AbortError('ERR_ABORTED', 'the client has gone', { cause: signal.reason });
}

function late(timeout: number): ServerError {
  return new ServerError('ERR_DEADLINE', `no answer within ${timeout} ms`, {
    expected: `an answer within ${timeout} ms`,
    actual: 'none',
  });
}
