import { join } from 'node:path';
import { type Static, Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { BUNDLED_FOLDER } from '../../models/architectures';
import { BUNDLED_DETECTOR_FOLDER } from '../../models/detector-architectures';
import { readFixedFile, sendFixedFile } from '../fixed-files';
import type { RouteOptions } from './health';

const SampleSchema = Type.Object({
  name: Type.String(),
  url: Type.String(),
  title: Type.String({ description: 'what it shows, in words' }),
  width: Type.Integer(),
  height: Type.Integer(),
  task: Type.Union([Type.Literal('segment'), Type.Literal('detect')]),
});

const PAGES = { folder: BUNDLED_FOLDER, task: 'segment' } as const;
const SHAPES = { folder: BUNDLED_DETECTOR_FOLDER, task: 'detect' } as const;

/** The pictures that are served: these and no others. */
const SAMPLES = [
  { ...PAGES, name: 'page_08.png', title: 'Page with code, a diagram and a table' },
  { ...PAGES, name: 'page_04.png', title: 'Green page with charts and pictures' },
  { ...PAGES, name: 'page_20.png', title: 'Newsletter page with many pictures' },
  { ...PAGES, name: 'page_11.png', title: 'Slide with diagrams' },
  { ...SHAPES, name: 'picture_04.png', title: 'Shapes on a dark checkerboard' },
  { ...SHAPES, name: 'picture_03.png', title: 'Shapes on a light ground' },
  { ...SHAPES, name: 'picture_06.png', title: 'Overlapping shapes on violet tiles' },
  { ...SHAPES, name: 'picture_08.png', title: 'Shapes on pink tiles' },
];

/** Seconds that a browser may keep a picture. */
const KEPT = 86_400;

/** GET /samples and /samples/NAME: pictures to try the bundled models with. They need no API key. */
export async function sampleRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  if (!context.options.page) return;
  const list: Static<typeof SampleSchema>[] = [];
  for (const { folder, task, name, title } of SAMPLES) {
    const file = readFixedFile(join(folder, 'val', name));
    const url = `/samples/${name}`;
    // A PNG has its size in the first chunk, which is always there.
    const [width, height] = [file.body.readUInt32BE(16), file.body.readUInt32BE(20)];
    list.push({ name, url, title, width, height, task });
    app.get(url, { config: { open: true, quiet: true }, schema: { hide: true } }, (request, reply) =>
      sendFixedFile(request, reply, file, `public, max-age=${KEPT}`),
    );
  }
  app.get(
    '/samples',
    {
      config: { open: true, quiet: true },
      schema: { summary: 'Pictures to try', response: { 200: Type.Array(SampleSchema) } },
    },
    async (_request, reply) => {
      reply.header('cache-control', `public, max-age=${KEPT}`);
      return list;
    },
  );
}
