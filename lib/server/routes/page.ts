import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { type FixedFile, readFixedFile, sendFixedFile } from '../fixed-files';
import type { RouteOptions } from './health';

/** Where the build puts the page, from lib/server/routes as from dist/server/routes. */
const FOLDER = join(__dirname, '..', '..', '..', 'dist', 'server', 'page');

/** Asked for anew each time; the ETag makes that a short answer. */
const CACHE = 'no-cache';

const SettingsSchema = Type.Object({
  bodyLimit: Type.Integer({ description: 'bytes of a request body' }),
  maxPixels: Type.Integer({ description: 'width x height of an image' }),
});

/**
 * The page at /, its files under /page/, and what it has to know of the server. The files are read once: nothing of a
 * request is ever part of a path. They need no API key, the page asks for one when the models' routes do.
 */
export async function pageRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  const { page, bodyLimit, maxPixels } = context.options;
  if (!page) return;
  if (!existsSync(join(FOLDER, 'index.html'))) {
    app.log.warn('there is no page at /: expected a built one in dist/server/page (npm run build:ts)');
    return;
  }
  const serve = (path: string, file: FixedFile) =>
    app.get(path, { config: { open: true, quiet: true }, schema: { hide: true } }, (request, reply) =>
      sendFixedFile(request, reply, file, CACHE),
    );
  for (const name of readdirSync(FOLDER)) {
    const path = name === 'index.html' ? '/' : `/page/${name}`;
    serve(path, readFixedFile(join(FOLDER, name)));
  }
  app.get(
    '/page/settings.json',
    { config: { open: true, quiet: true }, schema: { hide: true, response: { 200: SettingsSchema } } },
    async (_request, reply) => {
      reply.header('cache-control', CACHE);
      return { bodyLimit, maxPixels };
    },
  );
}
