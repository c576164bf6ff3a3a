import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { setThreads } from '../device';
import { ApiKeys } from './api-keys';
import { type App, makeApp } from './app';
import type { ServeConfig } from './config';
import type { Phase, RepositoryControl, ServerContext } from './context';
import { ServerError, shuttingDown } from './errors';
import { type GrpcServer, startGrpc } from './grpc/server';
import { Guards } from './guards';
import { logDestination } from './log-destination';
import { ServerMetrics } from './metrics';
import { ModelRepository } from './model-repository';

/** What a server may be given beside its config. */
export interface ServerInit {
  /** Default: a pino logger of the config's level on standard output. */
  readonly log?: Logger;
  /** Gives the metrics of all processes where there are several. Default: this process's. */
  readonly scrape?: () => Promise<string>;
  /** Loads and unloads models in all processes where there are several. Default: in this one. */
  readonly control?: RepositoryControl;
}

/** What a server is given to start by. */
export interface StartOptions {
  /**
   * Listen once the models are ready, not before: so that connections go to others as long as there are others.
   * Default: false.
   */
  readonly loadFirst?: boolean;
}

/** Milliseconds between two looks for connections on which nothing happens, while a server closes. */
const IDLE_CHECK = 50;
/** Milliseconds that answers get to be written after everything was rejected. */
const LAST_WORDS = 1000;

/** An inference server: models behind queues, and the protocols that reach them. */
export class InferenceServer {
  readonly config: ServeConfig;
  readonly log: Logger;
  readonly models: ModelRepository;
  readonly metrics = new ServerMetrics();
  readonly #app: Promise<App>;
  readonly #context: ServerContext;
  #grpc: Promise<GrpcServer> | undefined;
  #phase: Phase = 'open';
  #listening: Promise<string> | undefined;
  #closing: Promise<void> | undefined;

  constructor(config: ServeConfig, init: ServerInit = {}) {
    const { server } = config;
    this.config = config;
    this.log = init.log ?? pino({ level: server.logLevel }, logDestination());
    this.models = new ModelRepository(config.models, { maxPixels: server.maxPixels, observer: this.metrics });
    this.metrics.watch(this.models);
    const context: ServerContext = {
      options: server,
      models: this.models,
      metrics: this.metrics,
      keys: new ApiKeys(server.apiKeys),
      guards: new Guards(server, this.models),
      phase: () => this.#phase,
      accepting: () => this.#phase === 'open',
      scrape: init.scrape ?? (() => this.metrics.registry.metrics()),
      control: init.control ?? {
        load: (name) => this.models.get(name).reload(),
        unload: (name) => this.models.get(name).unload(),
      },
    };
    this.#context = context;
    this.#app = makeApp(context, this.log);
    // It is awaited in start() and close(), and must not be an unhandled rejection before.
    this.#app.catch(() => {});
  }

  /** The HTTP side, for tests and for embedding into another server. */
  get app(): Promise<App> {
    return this.#app;
  }

  /**
   * Listens and loads the models: until they are ready, the server says that it lives and is not ready.
   * Rejects with ServerError ERR_LISTEN, ERR_MODEL_LOAD, or ERR_SHUTTING_DOWN where it was closed meanwhile, and with
   * LoadError where the native addon is missing. Whatever had started is closed then.
   */
  async start({ loadFirst = false }: StartOptions = {}): Promise<{ url: string; grpcPort?: number }> {
    const { threads } = this.config.server;
    try {
      if (threads !== undefined) setThreads(threads);
      if (loadFirst) await this.models.load();
      this.#listening = this.#listen();
      const url = await this.#listening;
      const grpcPort = await this.#listenGrpc();
      if (!loadFirst) await this.models.load();
      return { url, ...(grpcPort !== undefined && { grpcPort }) };
    } catch (error) {
      await this.close({ timeout: 0, drainDelay: 0 });
      throw error;
    }
  }

  /**
   * Shuts down. Readiness says no at once, while requests are still taken for `drainDelay` milliseconds; then nothing
   * new is taken, and what was taken is answered, for `timeout` milliseconds at most; the rest is rejected with 503, and
   * the models are freed. Safe to call twice. Defaults: those of the config.
   */
  async close({
    timeout = this.config.server.shutdownTimeout,
    drainDelay = this.config.server.drainDelay,
  }: {
    timeout?: number;
    drainDelay?: number;
  } = {}): Promise<void> {
    this.#closing ??= this.#close(timeout, drainDelay);
    return this.#closing;
  }

  async #listen(): Promise<string> {
    const { host, port } = this.config.server;
    const app = await this.#app;
    if (this.#phase === 'closed') throw shuttingDown();
    try {
      await app.listen({ host, port, listenTextResolver: (address) => `listening at ${address}` });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new ServerError('ERR_LISTEN', `cannot listen on ${host}:${port}: ${code ?? error}`, {
        expected: 'an address and a port that are free',
        actual: code,
        cause: error,
      });
    }
    const { port: taken } = app.server.address() as AddressInfo;
    return `http://${host.includes(':') ? `[${host}]` : host}:${taken}`;
  }

  async #listenGrpc(): Promise<number | undefined> {
    const { host, grpcPort } = this.config.server;
    if (grpcPort === undefined) return undefined;
    if (this.#phase === 'closed') throw shuttingDown();
    this.#grpc = startGrpc(this.#context, { host, port: grpcPort, log: this.log });
    const { port } = await this.#grpc;
    this.log.info(`gRPC listening at ${host}:${port}`);
    return port;
  }

  async #close(timeout: number, drainDelay: number): Promise<void> {
    this.#phase = 'draining';
    const app = await this.#app;
    if (drainDelay > 0 && app.server.listening) await delay(drainDelay);
    this.#phase = 'closed';
    // What is only about to listen would go on doing so after it was closed.
    await this.#listening?.catch(() => {});
    const idle = setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK);
    let last: NodeJS.Timeout | undefined;
    const late = setTimeout(() => {
      void this.models.abort(shuttingDown());
      last = setTimeout(() => app.server.closeAllConnections(), LAST_WORDS);
    }, timeout);
    // Requests first: a body that is still arriving is part of what was taken.
    const grpc = await this.#grpc?.catch(() => undefined);
    await Promise.all([app.close(), grpc?.close(timeout + LAST_WORDS)]);
    await this.models.close();
    clearInterval(idle);
    clearTimeout(late);
    clearTimeout(last);
  }
}
