import type { ServeConfig } from './config';
import { InferenceServer, type ServerInit } from './server';

/** What {@link runServer} may be given beside its config. */
export interface RunServerInit extends ServerInit {
  /** Told of the address once every model is ready. */
  readonly onReady?: (url: string) => void;
}

/**
 * Runs a server in this process until SIGTERM or SIGINT, which drain it; a second one ends the process at once.
 * Rejects with what {@link InferenceServer.start} throws.
 */
export async function runServer(config: ServeConfig, init: RunServerInit = {}): Promise<void> {
  const server = new InferenceServer(config, init);
  const asked = signalled((signal) => server.log.info({ signal }, 'shutting down'));
  // Whoever stops a server that is still loading does not want to hear what became of the loading.
  const stopped = asked.then(async () => {
    await server.close();
    return undefined;
  });
  const started = await Promise.race([stopped, server.start()]);
  if (started !== undefined) {
    server.log.info({ url: started.url, models: server.models.list().map(({ name }) => name) }, 'ready');
    init.onReady?.(started.url);
  }
  await stopped;
  server.log.info('stopped');
}

/** Resolves at the first SIGTERM or SIGINT; at a second the process ends, as it would have at the first. */
export function signalled(onSignal: (signal: NodeJS.Signals) => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let count = 0;
    const stop = (signal: NodeJS.Signals) => {
      count += 1;
      if (count > 1) process.exit(signal === 'SIGINT' ? 130 : 143);
      onSignal(signal);
      resolve(signal);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
