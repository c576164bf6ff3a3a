import type { ApiKeys } from './api-keys';
import type { ServerOptions } from './config';
import type { Guards } from './guards';
import type { ServerMetrics } from './metrics';
import type { ModelRepository } from './model-repository';

/** Loads and unloads models by request: in this process, or in a worker in all of them. */
export interface RepositoryControl {
  /** Loads a model, or loads it anew. Rejects with ServerError ERR_MODEL_UNKNOWN or ERR_MODEL_LOAD. */
  load(name: string): Promise<void>;
  /** Answers what a model has taken, then frees it. Rejects with ServerError ERR_MODEL_UNKNOWN. */
  unload(name: string): Promise<void>;
}

/** How far a server is from its end. */
export type Phase = 'open' | 'draining' | 'closed';

/** What every route of a server knows. */
export interface ServerContext {
  readonly options: ServerOptions;
  readonly models: ModelRepository;
  readonly metrics: ServerMetrics;
  readonly keys: ApiKeys;
  /** `guards.check(model)` throws ERR_OVERLOADED; routes with `config: { guarded: true }` are checked already. */
  readonly guards: Guards;
  /** Draining: readiness says no, requests are still taken. Closed: those that come now are refused. */
  readonly phase: () => Phase;
  /** Readiness: false from the start of a shutdown on. */
  readonly accepting: () => boolean;
  /** The metrics as Prometheus reads them: this process's, or in a worker those of all. */
  readonly scrape: () => Promise<string>;
  readonly control: RepositoryControl;
}
