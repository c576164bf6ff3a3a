import type { ServerOptions } from './config';
import type { ServerMetrics } from './metrics';
import type { ModelRepository } from './model-repository';

/** What every route of a server knows. */
export interface ServerContext {
  readonly options: ServerOptions;
  readonly models: ModelRepository;
  readonly metrics: ServerMetrics;
  /** Readiness: false from the start of a shutdown on. */
  readonly accepting: () => boolean;
  /** The metrics as Prometheus reads them: this process's, or in a worker those of all. */
  readonly scrape: () => Promise<string>;
}
