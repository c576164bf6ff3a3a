import type { AddressInfo } from 'node:net';
import { type Logger, pino } from 'pino';
import { setThreads } from '../device';
import { type App, makeApp } from './app';
import type { ServeConfig } from './config';
import type { ServerContext } from './context';
import { ServerError } from './errors';
import { ServerMetrics } from './metrics';
import { ModelRepository } from './model-repository';

/** What a server may be given beside its config. */
export interface ServerInit {
  /** Default: a pino logger of the config's level on standard output. */
  readonly log?: Logger;
  /** Gives the metrics of all processes where there are several. Default: this process's. */
  readonly scrape?: () => Promise<string>;
}

/** An inference server: models behind queues, and the protocols that reach them. */
export class InferenceServer {
  readonly config: ServeConfig;
  readonly log: Logger;
  readonly models: ModelRepository;
  readonly metrics = new ServerMetrics();
  readonly #app: Promise<App>;
  #accepting = true;
  #closing: Promise<void> | undefined;

  constructor(config: ServeConfig, init: ServerInit = {}) {
    const { server } = config;
    this.config = config;
    this.log = init.log ?? pino({ level: server.logLevel });
    this.models = new ModelRepository(config.models, { maxPixels: server.maxPixels, observer: this.metrics });
    this.metrics.watch(this.models);
    const context: ServerContext = {
      options: server,
      models: this.models,
      metrics: this.metrics,
      accepting: () => this.#accepting,
      scrape: init.scrape ?? (() => this.metrics.registry.metrics()),
    };
    this.#app = makeApp(context, this.log);
  }

  /** The HTTP side, for tests and for embedding into another server. */
  get app(): Promise<App> {
    return this.#app;
  }

  /**
   * Listens, then loads the models: until they are ready, the server says that it lives and is not ready.
   * Rejects with ServerError ERR_LISTEN, and with what the loaders throw.
   */
  async start(): Promise<{ url: string }> {
    const { host, port, threads } = this.config.server;
    if (threads !== undefined) setThreads(threads);
    const app = await this.#app;
    try {
      await app.listen({ host, port });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new ServerError('ERR_LISTEN', `cannot listen on ${host}:${port}: ${code ?? error}`, {
        expected: 'an address and a port that are free',
        actual: code,
        cause: error,
      });
    }
    try {
      await this.models.load();
    } catch (error) {
      await this.close(0);
      throw error;
    }
    const { port: taken } = app.server.address() as AddressInfo;
    return { url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}` };
  }

  /**
   * Shuts down: says that it is not ready, answers what it has accepted, for `timeout` milliseconds at most, rejects
   * the rest, and frees the models. Safe to call twice.
   */
  async close(timeout = this.config.server.shutdownTimeout): Promise<void> {
    this.#closing ??= this.#close(timeout);
    return this.#closing;
  }

  async #close(timeout: number): Promise<void> {
    this.#accepting = false;
    const late = new ServerError('ERR_SHUTTING_DOWN', 'the server is shutting down', { retryAfter: 1 });
    const timer = setTimeout(() => void this.models.abort(late), timeout);
    const app = await this.#app;
    await Promise.all([app.close(), this.models.close()]);
    clearTimeout(timer);
  }
}
