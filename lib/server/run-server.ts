import type { ServeConfig } from './config';
import { InferenceServer, type ServerInit } from './server';
import { signalled } from './signals';

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
