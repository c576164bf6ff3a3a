import { Value } from '@sinclair/typebox/value';
import { ConfigSchema, type ServeConfig, type ServerOptions } from '../../lib/server/config';
import { InferenceServer } from '../../lib/server/server';

/** A server with the bundled models on a free port, and what it is asked by. */
export async function serve(server: Partial<ServerOptions> = {}, models: object[] = BUNDLED) {
  const config = { server: { port: 0, logLevel: 'silent', ...server }, models };
  const serving = new InferenceServer(Value.Default(ConfigSchema, config) as ServeConfig);
  const { url } = await serving.start();
  return { serving, url, close: () => serving.close() };
}

const BUNDLED = [
  { name: 'layout', task: 'segment' },
  { name: 'shapes', task: 'detect' },
];
