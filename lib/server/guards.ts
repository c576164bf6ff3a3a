import { totalmem } from 'node:os';
import { type Device, emptyCache, memoryStats } from '../device';
import type { ServerOptions } from './config';
import { ServerError } from './errors';
import type { ModelRepository } from './model-repository';

/** What {@link Guards} measure by; tests give their own. */
export interface Gauges {
  /** Resident bytes of this process. */
  rss(): number;
  /** Bytes that a new allocation on a GPU could get. */
  gpuFree(device: string): number;
  /** Gives cached memory back to the system. */
  release(): void;
  /** Milliseconds of a clock. */
  now(): number;
}

const GAUGES: Gauges = {
  rss: () => process.memoryUsage.rss(),
  gpuFree: (device) => {
    const { freeBytes, reservedBytes, allocatedBytes } = memoryStats(device as Exclude<Device, 'cpu'>);
    return freeBytes + reservedBytes - allocatedBytes;
  },
  release: emptyCache,
  now: () => performance.now(),
};

/** Milliseconds for which a reading holds, and between two times that caches are emptied. */
const FRESH = 200;
const RELEASE_EVERY = 10_000;

/** Refuses work while memory is short: what is not begun cannot bring down what is. */
export class Guards {
  readonly #maxMemory: number;
  readonly #minGpuMemory: number;
  readonly #models: ModelRepository;
  readonly #gauges: Gauges;
  readonly #readings = new Map<string, { value: number; at: number }>();
  #released = Number.NEGATIVE_INFINITY;

  constructor(
    options: Pick<ServerOptions, 'maxMemory' | 'minGpuMemory' | 'workers'>,
    models: ModelRepository,
    gauges: Partial<Gauges> = {},
  ) {
    this.#maxMemory = options.maxMemory ?? defaultMaxMemory(options.workers);
    this.#minGpuMemory = options.minGpuMemory;
    this.#models = models;
    this.#gauges = { ...GAUGES, ...gauges };
  }

  /**
   * Throws ServerError ERR_OVERLOADED where there is too little memory for new work: of this process, or on the GPU of
   * the named model (of any model, where none is named).
   */
  check(model?: string): void {
    this.#checkMemory();
    const named = this.#models.list().filter(({ name }) => name === model);
    for (const { config } of named.length > 0 ? named : this.#models.list()) {
      if (config.device !== 'cpu') this.#checkGpu(config.device);
    }
  }

  #checkMemory(): void {
    const rss = () => this.#gauges.rss();
    let used = this.#read('rss', rss);
    if (used > this.#maxMemory && this.#gauges.now() - this.#released >= RELEASE_EVERY) {
      this.#released = this.#gauges.now();
      this.#gauges.release();
      this.#readings.delete('rss');
      used = this.#read('rss', rss);
    }
    if (used <= this.#maxMemory) return;
    throw overloaded(
      'the server has too little memory for new work',
      `at most ${this.#maxMemory} resident bytes`,
      `${used}`,
    );
  }

  #checkGpu(device: string): void {
    const free = this.#read(device, () => this.#gauges.gpuFree(device));
    if (free >= this.#minGpuMemory) return;
    throw overloaded(
      `${device} has too little memory for new work`,
      `at least ${this.#minGpuMemory} free bytes`,
      `${free}`,
    );
  }

  #read(name: string, measure: () => number): number {
    const at = this.#gauges.now();
    const known = this.#readings.get(name);
    if (known !== undefined && at - known.at < FRESH) return known.value;
    const value = measure();
    this.#readings.set(name, { value, at });
    return value;
  }
}

/** 90 % of what the machine or the container has, shared out among so many processes. */
export function defaultMaxMemory(workers: number): number {
  // 0, or more than there is, where no limit is set.
  const limit = process.constrainedMemory?.() ?? 0;
  const total = totalmem();
  return Math.floor((0.9 * (limit > 0 && limit < total ? limit : total)) / workers);
}

function overloaded(message: string, expected: string, actual: string): ServerError {
  return new ServerError('ERR_OVERLOADED', message, { expected, actual, retryAfter: 5 });
}
