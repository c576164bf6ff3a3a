import { defaultServeConfig, type PartialServeConfig } from '../../lib/server/config-file';
import { InferenceServer } from '../../lib/server/server';

/** A server of the bundled models on a free port. */
export async function serve(options: PartialServeConfig['server'] & object = {}) {
  const config = defaultServeConfig({ server: { port: 0, logLevel: 'silent', ...options } }, {});
  const serving = new InferenceServer(config);
  const { url } = await serving.start();
  return { url, close: () => serving.close({ timeout: 0, drainDelay: 0 }) };
}
