import { nearestName } from '../modules/nearest-name';
import type { ModelConfig } from './config';
import { ServerError } from './errors';
import { type ModelObserver, makeServedModel, type Segmenter, type ServedDetector } from './served-model';

/** A served model of either kind; `config.task` tells which. */
export type AnyServedModel = Segmenter | ServedDetector;

/** The models of a server, by name. */
export class ModelRepository {
  readonly #models: ReadonlyMap<string, AnyServedModel>;

  constructor(
    configs: readonly ModelConfig[],
    { maxPixels, observer }: { maxPixels: number; observer?: ModelObserver },
  ) {
    const make = (config: ModelConfig) =>
      makeServedModel({ config, maxPixels, ...(observer !== undefined && { observer }) });
    this.#models = new Map(configs.map((config) => [config.name, make(config)]));
  }

  /** All models, in the order of the config. */
  list(): readonly AnyServedModel[] {
    return [...this.#models.values()];
  }

  /** Whether every model can answer. */
  get ready(): boolean {
    return this.list().every(({ state }) => state === 'ready');
  }

  /** The model of a name and, where one is given, of a version. Throws ServerError ERR_MODEL_UNKNOWN. */
  get(name: string, version?: string): AnyServedModel {
    const model = this.#models.get(name);
    if (model !== undefined && (version === undefined || version === model.config.version)) return model;
    const names = [...this.#models.keys()];
    const near = model === undefined ? nearestName(name, names) : undefined;
    const hint = near === undefined ? '' : ` (the nearest is ${near})`;
    const expected =
      model === undefined
        ? `one of ${names.join(', ')}${hint}`
        : `version ${model.config.version} of ${name}`;
    const actual = model === undefined ? JSON.stringify(name) : JSON.stringify(version);
    throw new ServerError('ERR_MODEL_UNKNOWN', `expected ${expected} for the model, got ${actual}`, {
      expected,
      actual,
    });
  }

  /** The named segmentation model, or the first. Throws ServerError ERR_MODEL_UNKNOWN or ERR_MODEL_TASK. */
  segmenter(name?: string): Segmenter {
    return this.#ofTask('segment', name) as Segmenter;
  }

  /** The named detector, or the first. Throws ServerError ERR_MODEL_UNKNOWN or ERR_MODEL_TASK. */
  detector(name?: string): ServedDetector {
    return this.#ofTask('detect', name) as ServedDetector;
  }

  /** Loads every model, one after the other. Rejects with the first that cannot be loaded. */
  async load(): Promise<void> {
    for (const model of this.list()) await model.reload();
  }

  /** Takes no more images and resolves when those that were taken are done and the models are freed. */
  async close(): Promise<void> {
    await Promise.all(this.list().map((model) => model.close()));
  }

  /** Rejects what still waits or runs as `error`, and frees the models. */
  async abort(error: unknown): Promise<void> {
    await Promise.all(this.list().map((model) => model.abort(error)));
  }

  #ofTask(task: ModelConfig['task'], name: string | undefined): AnyServedModel {
    const found =
      name === undefined ? this.list().find(({ config }) => config.task === task) : this.get(name);
    if (found?.config.task === task) return found;
    const actual = name === undefined ? 'none' : `${name}, which does ${found!.config.task}`;
    throw new ServerError('ERR_MODEL_TASK', `expected a model that does ${task}, got ${actual}`, {
      expected: `a model that does ${task}`,
      actual,
    });
  }
}
