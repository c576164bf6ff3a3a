import type { Device } from '../device';
import type { DetectionModel } from '../models/detection-model';
import { loadModel } from '../models/load';
import { loadDetector } from '../models/load-detector';
import type { SegmentationModel } from '../models/segmentation-model';
import type { RunOptions } from './run-options';

/** Where a worker computes; it does not change what is computed. */
export interface Place {
  device?: Device;
  /** Capture networks in CUDA graphs, one for each size of image. */
  cudaGraph?: boolean;
}

/** A loaded model of either task. */
export type RunModelInstance =
  | { readonly task: 'segment'; readonly model: SegmentationModel }
  | { readonly task: 'detect'; readonly model: DetectionModel };

interface Entry {
  readonly loading: Promise<RunModelInstance>;
  users: number;
}

/** Loaded models by their options: those in use, and of the others the few that were used last. */
export class ModelCache {
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #place: Place;
  readonly #capacity: number;

  constructor(place: Place, capacity: number) {
    this.#place = place;
    this.#capacity = capacity;
  }

  /** Lends the model of a run to some work. Throws what loading throws; the next use tries it again. */
  async use<T>(options: RunOptions, work: (instance: RunModelInstance) => Promise<T>): Promise<T> {
    const key = JSON.stringify([options.task, options.model ?? {}]);
    const entry = this.#entries.get(key) ?? { loading: load(options, this.#place), users: 0 };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users += 1;
    try {
      return await work(await entry.loading);
    } finally {
      entry.users -= 1;
      const failed = await entry.loading.then(
        () => false,
        () => true,
      );
      if (failed && this.#entries.get(key) === entry) this.#entries.delete(key);
      this.shrink(this.#capacity);
    }
  }

  /** Frees models that nobody uses, those used longest ago first, until `capacity` are left. */
  shrink(capacity: number): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= capacity) return;
      if (entry.users > 0) continue;
      this.#entries.delete(key);
      void entry.loading.then(
        ({ model }) => model.dispose(),
        () => undefined,
      );
    }
  }
}

async function load({ task, model = {} }: RunOptions, place: Place): Promise<RunModelInstance> {
  const { checkpoint, nmfSeed, ...rest } = model;
  const options = { ...rest, ...place };
  if (task === 'detect') return { task, model: await loadDetector(checkpoint, options) };
  return {
    task,
    model: await loadModel(checkpoint, { ...options, ...(nmfSeed !== undefined && { nmfSeed }) }),
  };
}
