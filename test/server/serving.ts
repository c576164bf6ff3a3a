import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { decodeImage } from '../../lib/image/decode';
import { defaultServeConfig, type ServerOptions } from '../../lib/server/index';
import { InferenceServer } from '../../lib/server/server';

const MODELS = join(__dirname, '..', '..', 'models');

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
