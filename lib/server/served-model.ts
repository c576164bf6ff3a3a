import type { ImageInput } from '../image/types';
import type { DetectionModel } from '../models/detection-model';
import type { DetectionResult } from '../models/detection-result';
import type { SegmentationMap } from '../models/segmentation-map';
import type { SegmentationModel } from '../models/segmentation-model';
import { BatchQueue, type Served, type Ticket } from './batch-queue';
import type { ModelConfig } from './config';
import { ServerError } from './errors';
import {
  DETECT,
  type DetectRequestOptions,
  type Prediction,
  SEGMENT,
  type SegmentRequestOptions,
  type Task,
} from './tasks';

/** Whether a model can answer. */
export type ModelState = 'loading' | 'ready' | 'failed' | 'unloaded';

/** Told of what a model does. */
export interface ModelObserver {
  /** A batch has started. */
  onBatch?(model: string, images: number, waited: readonly number[]): void;
  /** An image is done: well, or with an error. */
  onImage?(model: string, milliseconds: number, error: unknown): void;
}

/** What makes a {@link ServedModel}. */
export interface ServedModelInit {
  readonly config: ModelConfig;
  readonly maxPixels: number;
  readonly observer?: ModelObserver;
}

interface Item<Options> {
  readonly image: ImageInput;
  readonly bytes: number;
  readonly options: Options;
}

interface Loadable {
  readonly classes: readonly string[];
  dispose(): void;
}

/** A loaded model and the batches that use it: one that was replaced goes when the last of them has ended. */
interface Holder<Model> {
  readonly model: Model;
  users: number;
  retired: boolean;
}

/**
 * A model that a server serves: loaded from its config, warmed up, behind a queue; it can be loaded anew while it
 * serves. Made by {@link segmenter} and {@link detector}.
 */
export class ServedModel<
  Model extends Loadable = Loadable,
  Options extends object = object,
  Result = unknown,
> {
  readonly config: ModelConfig;
  readonly #task: Task<Model, Options, Result>;
  readonly #init: ServedModelInit;
  readonly #queue: BatchQueue<Item<Options>, Prediction<Result>>;
  #held: Holder<Model> | undefined;
  #state: ModelState = 'unloaded';
  #error: unknown;
  #loading: Promise<void> | undefined;

  /** @internal */
  constructor(task: Task<Model, Options, Result>, init: ServedModelInit) {
    const { config, observer } = init;
    this.config = config;
    this.#task = task;
    this.#init = init;
    this.#queue = new BatchQueue({
      batch: config.batch,
      queue: config.queue,
      instances: config.instances,
      keyOf: ({ options }) => JSON.stringify(options),
      bytesOf: ({ bytes }) => bytes,
      run: (items, signal) => this.#run(items, signal),
      discard: ({ result }) => task.free(result),
      onBatch: (images, waited) => observer?.onBatch?.(config.name, images, waited),
    });
  }

  get name(): string {
    return this.config.name;
  }

  get state(): ModelState {
    return this.#state;
  }

  /** Why loading failed last. */
  get error(): unknown {
    return this.#error;
  }

  /** Images that wait, their bytes, images in flight, and the seconds after which trying again makes sense. */
  get load(): { waiting: number; bytes: number; inFlight: number; retryAfter: number } {
    const { length, bytes, inFlight, retryAfter } = this.#queue;
    return { waiting: length, bytes, inFlight, retryAfter };
  }

  /** The loaded model. Throws ServerError ERR_MODEL_NOT_READY. */
  get model(): Model {
    return this.#live().model;
  }

  /**
   * Loads the model, or loads it anew: until the new one is warm the old one serves, and it goes on serving where the
   * new one cannot be loaded. Rejects with what the loader throws.
   */
  async reload(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /**
   * Computes one image in the next batch. `bytes` is what it holds while it waits.
   * Rejects with ServerError ERR_MODEL_NOT_READY, ERR_QUEUE_FULL, ERR_DEADLINE or ERR_SHUTTING_DOWN, AbortError, and
   * with what the model throws for the image.
   */
  async predict(
    image: ImageInput,
    options: Options,
    ticket: Ticket & { bytes: number },
  ): Promise<Served<Prediction<Result>>> {
    this.#live();
    const started = performance.now();
    try {
      const served = await this.#queue.submit({ image, bytes: ticket.bytes, options }, ticket);
      this.#init.observer?.onImage?.(this.name, performance.now() - started, undefined);
      return served;
    } catch (error) {
      this.#init.observer?.onImage?.(this.name, performance.now() - started, error);
      throw error;
    }
  }

  /** Frees the native memory of a result. */
  free(result: Result): void {
    this.#task.free(result);
  }

  /** Takes no more images, waits for those that it has, and frees the model. */
  async close(): Promise<void> {
    await this.#queue.close();
    await this.#loading?.catch(() => {});
    this.#state = 'unloaded';
    this.#retire();
  }

  /** Rejects what still waits or runs, and ends as {@link close} does. */
  async abort(error: unknown): Promise<void> {
    this.#queue.abort(error);
    await this.close();
  }

  #live(): Holder<Model> {
    if (this.#held !== undefined && this.#state === 'ready') return this.#held;
    throw new ServerError('ERR_MODEL_NOT_READY', `model ${this.name} is ${this.#state}`, {
      expected: 'a model that is ready',
      actual: this.#state,
      retryAfter: 5,
    });
  }

  async #load(): Promise<void> {
    if (this.#state !== 'ready') this.#state = 'loading';
    try {
      const model = await this.#task.load(this.config);
      try {
        await this.#warmUp(model);
      } catch (error) {
        model.dispose();
        throw error;
      }
      this.#retire();
      this.#held = { model, users: 0, retired: false };
      this.#state = 'ready';
      this.#error = undefined;
    } catch (error) {
      this.#error = error;
      if (this.#state !== 'ready') this.#state = 'failed';
      throw error;
    }
  }

  /** The first run of a size is the slowest: memory is taken, and on a GPU kernels are loaded. */
  async #warmUp(model: Model): Promise<void> {
    const { config, maxPixels } = this.#init;
    for (const [height, width] of config.warmup) {
      const grey = {
        data: new Uint8Array(height * width * 3).fill(128),
        height,
        width,
        channels: 3 as const,
      };
      for (const count of new Set([1, config.batch.size])) {
        const images = Array.from({ length: count }, () => grey);
        const signal = new AbortController().signal;
        const outcomes = await this.#task.run(model, images, { maxPixels, signal } as never);
        for (const outcome of outcomes) {
          if (!outcome.ok) throw outcome.error;
          this.#task.free(outcome.result.result);
        }
      }
    }
  }

  #retire(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    held.retired = true;
    if (held.users === 0) held.model.dispose();
  }

  async #run(items: readonly Item<Options>[], signal: AbortSignal) {
    const held = this.#live();
    held.users += 1;
    try {
      const options = { ...items[0]!.options, maxPixels: this.#init.maxPixels, signal };
      return await this.#task.run(
        held.model,
        items.map(({ image }) => image),
        options,
      );
    } finally {
      held.users -= 1;
      if (held.retired && held.users === 0) held.model.dispose();
    }
  }
}

/** A served segmentation model. */
export type Segmenter = ServedModel<SegmentationModel, SegmentRequestOptions, SegmentationMap>;

/** A served detector. */
export type ServedDetector = ServedModel<DetectionModel, DetectRequestOptions, DetectionResult>;

/** Makes a served model of the kind that its config says; nothing is loaded yet. */
export function makeServedModel(init: ServedModelInit): Segmenter | ServedDetector {
  return init.config.task === 'segment' ? new ServedModel(SEGMENT, init) : new ServedModel(DETECT, init);
}
