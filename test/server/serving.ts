import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Value } from '@sinclair/typebox/value';
import { pino } from 'pino';
import { decodeImage } from '../../lib/image/decode';
import { ConfigSchema, type ServeConfig } from '../../lib/server/config';
import { defaultServeConfig, type ServerOptions } from '../../lib/server/index';
import { InferenceServer } from '../../lib/server/server';

const MODELS = join(__dirname, '..', '..', 'models');

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

/** Starts the bundled models on free ports of the local host. */
export async function startServer(options: Partial<ServerOptions> = {}) {
  const config = defaultServeConfig();
  const quiet = { port: 0, logLevel: 'silent' as const };
  const server = new InferenceServer(
    { ...config, server: { ...config.server, ...quiet, ...options } },
    { log: pino({ level: 'silent' }) },
  );
  const { url } = await server.start();
  return { server, url };
}

/** A picture of shapes, as its file has it. */
export const PICTURE = readFileSync(join(MODELS, 'shapes', 'val', 'picture_00.png'));

/** The same picture's pixels. */
export const pixelsOf = (bytes: Uint8Array) => decodeImage(bytes);
