import { defaultServeConfig, type PartialServeConfig } from '../../lib/server/config-file';
import { InferenceServer } from '../../lib/server/server';

const BUNDLED: NonNullable<PartialServeConfig['models']> = [
  { name: 'layout', task: 'segment' },
  { name: 'shapes', task: 'detect' },
];

/** A server on a free port, with the bundled models where no others are named. */
export async function serve(options: PartialServeConfig['server'] = {}, models = BUNDLED) {
  const config = defaultServeConfig({ server: { port: 0, logLevel: 'silent', ...options }, models }, {});
  const server = new InferenceServer(config);
  const { url } = await server.start();
  return { url, close: () => server.close({ timeout: 0, drainDelay: 0 }) };
}
