import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import accepts from '@fastify/accepts';
import fastify from 'fastify';
import { safeName } from '../../lib/server/images/upload';
import { chooseView, DETECT_VIEWS, SEGMENT_VIEWS, type View } from '../../lib/server/images/views';
import { animated, bomb, chunk, FORMATS, noiseImage, pngOf } from './hostile-images';
import { serve } from './serving';

const BODY_LIMIT = 256 * 1024;

let server: Awaited<ReturnType<typeof serve>>;
let page: Buffer;

beforeAll(async () => {
  server = await serve({ bodyLimit: BODY_LIMIT, maxPixels: 1_000_000, cors: ['http://page.test'] });
  page = await readFile(join(__dirname, '../../models/layout/val/page_00.png'));
});
afterAll(() => server.close());

type Headers = Record<string, string>;
const PNG: Headers = { 'content-type': 'image/png' };
const post = (path: string, body: Uint8Array | FormData | null, headers: Headers = {}) =>
  fetch(server.url + path, { method: 'POST', body: body as Buffer, headers });

/** The answer is this error, with the members that every error has. */
async function expectError(answer: Promise<Response>, status: number, code: string, more: object = {}) {
  const response = await answer;
  const body = (await response.json()) as Record<string, unknown>;
  expect([response.status, body.code]).toEqual([status, code]);
  expect(body).toMatchObject({
    error: expect.any(String),
    requestId: response.headers.get('x-request-id'),
    ...more,
  });
  expect(response.headers.get('cache-control')).toBe('no-store');
}

/** The server goes on as if nothing had been. */
async function expectAlive() {
  const response = await post('/segment?view=labels', page, PNG);
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png']);
}

function formOf(files: (readonly [name: string, file: string, bytes: Uint8Array])[], fields: Headers = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const [name, file, bytes] of files) form.append(name, new Blob([bytes as Buffer]), file);
  return form;
}

describe('negotiation', () => {
  const [rle, coco, labels, overlay] = SEGMENT_VIEWS;
  const app = fastify();
  let chooser: string;
  beforeAll(async () => {
    await app.register(accepts);
    app.get('/', async (request) => {
      const view = JSON.parse(request.headers['x-view'] as string) ?? undefined;
      try {
        return chooseView(request, SEGMENT_VIEWS, view);
      } catch (error) {
        return { code: (error as { code: string }).code };
      }
    });
    chooser = await app.listen({ port: 0, host: '127.0.0.1' });
  });
  afterAll(() => app.close());

  test.each<[accept: string | undefined, view: string | undefined, wanted: View | undefined]>([
    [undefined, undefined, rle],
    ['*/*', undefined, rle],
    ['application/json', undefined, rle],
    ['application/*', undefined, rle],
    ['APPLICATION/JSON', undefined, rle],
    ['application/json; charset=utf-8', undefined, rle],
    ['application/json;view=rle', undefined, rle],
    ['application/json;view=coco', undefined, coco],
    ['application/json;view="coco"', undefined, coco],
    ['image/png', undefined, labels],
    ['image/*', undefined, labels],
    ['image/png;view=overlay', undefined, overlay],
    ['image/png; view=overlay; q=0.5, application/json;q=0.4', undefined, overlay],
    ['image/png;view=overlay;q=0.5, application/json', undefined, rle],
    ['application/json;q=0, */*', undefined, labels],
    ['text/html, image/png;q=0.9, */*;q=0.8', undefined, labels],
    ['application/json', 'overlay', overlay],
    ['text/html', 'coco', coco],
    ['text/html', undefined, undefined],
    ['image/jpeg', undefined, undefined],
    ['image/png;view=panoptic', undefined, undefined],
    ['application/json;q=0', undefined, undefined],
    ['nonsense', undefined, undefined],
    [undefined, 'panoptic', undefined],
    [undefined, '', undefined],
  ])('Accept %s and view %s', async (accept, view, wanted) => {
    const headers = { 'x-view': JSON.stringify(view ?? null), ...(accept !== undefined && { accept }) };
    const response = await fetch(chooser, { headers });
    expect(await response.json()).toEqual(wanted ?? { code: 'ERR_NOT_ACCEPTABLE' });
  });

  test('over HTTP', async () => {
    const image = await post('/detect', page, { ...PNG, accept: 'image/png' });
    expect(image.headers.get('content-disposition')).toBe('inline; filename="image-overlay.png"');
    await expectError(post('/segment', page, { ...PNG, accept: 'text/html' }), 406, 'ERR_NOT_ACCEPTABLE');
    await expectError(post('/detect?view=panoptic', page, PNG), 406, 'ERR_NOT_ACCEPTABLE', {
      expected: 'one of json, coco, overlay',
      actual: '"panoptic"',
    });
    expect(DETECT_VIEWS.map(({ name }) => name)).toContain('panoptic');
  });
});

test('headers tell the model, where the time went, and what the answer is called', async () => {
  const form = formOf([['image', '../a b/Größe 1.tar.png', page]]);
  const { headers } = await post('/segment', form, { origin: 'http://page.test' });
  expect(headers.get('x-freqfusion-model')).toBe('layout');
  expect(headers.get('server-timing')).toMatch(
    /^queue;dur=[\d.]+, decode;dur=[\d.]+, inference;dur=[\d.]+, render;dur=[\d.]+$/,
  );
  expect(headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/);
  expect(headers.get('content-disposition')).toBe('inline; filename="Gro_e_1.tar-rle.json"');
  expect(headers.get('vary')).toBe('Origin, accept');
});

test.each([
  [undefined, 'image'],
  ['', 'image'],
  ['photo.jpg', 'photo'],
  ['C:\\pictures\\photo.jpg', 'photo'],
  ['../../etc/passwd', 'passwd'],
  ['.htaccess', 'image'],
  ['a"; filename="b.exe', 'a_filename_b'],
  ['line\r\nset-cookie: x.png', 'line_set-cookie_x'],
  ['x'.repeat(300), 'x'.repeat(64)],
])('the file name %j becomes %s', (name, safe) => expect(safeName(name)).toBe(safe));

describe('what comes in', () => {
  test('raw and as a form is the same', async () => {
    const answers = await Promise.all([
      post('/segment?view=labels', page, PNG),
      post('/segment?view=labels', page, { 'content-type': 'application/octet-stream' }),
      // What it says it is does not matter; its bytes do.
      post('/segment?view=labels', page, { 'content-type': 'image/jpeg', 'content-encoding': 'identity' }),
      post('/segment?view=labels', formOf([['image', 'a.png', page]])),
      post('/segment', formOf([['picture', 'a.png', page]], { view: 'labels', model: 'layout' })),
    ]);
    const bodies = await Promise.all(answers.map(async (each) => Buffer.from(await each.arrayBuffer())));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    for (const body of bodies) expect(body.equals(bodies[0]!)).toBe(true);
  });

  test.each<[what: string, answer: () => Promise<Response>, status: number, code: string]>([
    ['no body', () => post('/segment', null), 400, 'ERR_REQUEST'],
    ['no bytes', () => post('/segment', Buffer.alloc(0), PNG), 400, 'ERR_REQUEST'],
    ['no content type', () => post('/segment', page), 415, 'ERR_MEDIA_TYPE'],
    ['JSON', () => post('/segment', page, { 'content-type': 'application/json' }), 415, 'ERR_MEDIA_TYPE'],
    [
      'gzip',
      () => post('/segment', gzipSync(page), { ...PNG, 'content-encoding': 'gzip' }),
      415,
      'ERR_MEDIA_TYPE',
    ],
    ['an empty form', () => post('/segment', formOf([])), 400, 'ERR_REQUEST'],
    ['a form without a file', () => post('/segment', formOf([], { model: 'layout' })), 400, 'ERR_REQUEST'],
    [
      'an empty file',
      () => post('/segment', formOf([['image', 'a.png', Buffer.alloc(0)]])),
      400,
      'ERR_REQUEST',
    ],
    [
      'two files',
      () =>
        post(
          '/segment',
          formOf([
            ['image', 'a.png', page],
            ['image', 'b.png', page],
          ]),
        ),
      400,
      'ERR_REQUEST',
    ],
    [
      'many fields',
      () => {
        const fields = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, '1']));
        return post('/segment', formOf([['image', 'a.png', page]], fields));
      },
      400,
      'ERR_REQUEST',
    ],
    ['a long field', () => post('/segment', formOf([], { model: 'x'.repeat(1000) })), 400, 'ERR_REQUEST'],
    [
      'an unknown field',
      () => post('/segment', formOf([['i', 'a.png', page]], { x: '1' })),
      400,
      'ERR_REQUEST',
    ],
    [
      'a form cut short',
      () =>
        post(
          '/segment',
          Buffer.from('--b\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\nabc'),
          { 'content-type': 'multipart/form-data; boundary=b' },
        ),
      400,
      'ERR_REQUEST',
    ],
    [
      'a form without a boundary',
      () => post('/segment', page, { 'content-type': 'multipart/form-data' }),
      400,
      'ERR_REQUEST',
    ],
    ['a long body', () => post('/segment', new Uint8Array(BODY_LIMIT + 1), PNG), 413, 'ERR_BODY_TOO_LARGE'],
    [
      'a long file',
      () => post('/segment', formOf([['image', 'a.png', new Uint8Array(BODY_LIMIT + 1)]])),
      413,
      'ERR_BODY_TOO_LARGE',
    ],
    ['text', () => post('/segment', Buffer.from('hello'), PNG), 415, 'ERR_IMAGE_FORMAT'],
    ['an SVG', () => post('/detect', Buffer.from('<svg xmlns="x"/>'), PNG), 415, 'ERR_IMAGE_FORMAT'],
    ['a model of the other task', () => post('/segment?model=shapes', page, PNG), 400, 'ERR_MODEL_TASK'],
    ['an unknown model', () => post('/detect?model=shape', page, PNG), 404, 'ERR_MODEL_UNKNOWN'],
    ['an unknown option', () => post('/detect?scoreThreshhold=0.5', page, PNG), 400, 'ERR_REQUEST'],
    ['a wrong threshold', () => post('/detect?scoreThreshold=2', page, PNG), 400, 'ERR_REQUEST'],
    ['a wrong opacity', () => post('/segment?opacity=x', page, PNG), 400, 'ERR_REQUEST'],
    ['a wrong priority', () => post('/segment?priority=urgent', page, PNG), 400, 'ERR_REQUEST'],
    ['a wrong timeout', () => post('/segment?timeout=0', page, PNG), 400, 'ERR_REQUEST'],
  ])('%s is refused', async (_, answer, status, code) => expectError(answer(), status, code));

  test('what does not end is cut off at the limit', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.resume().on('error', () => {});
    const head = [
      'POST /segment HTTP/1.1',
      'host: x',
      'content-type: multipart/form-data; boundary=b',
      'transfer-encoding: chunked',
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    // What comes before the first part of a form is skipped, for as long as it may go on.
    const part = 'x'.repeat(65_000);
    const timer = setInterval(() => {
      if (socket.writable) socket.write(`${part.length.toString(16)}\r\n${part}\r\n`);
    }, 1);
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(timer);
    // Who goes on sending does not get to read why.
    expect(socket.bytesWritten).toBeGreaterThan(BODY_LIMIT);
    expect(socket.bytesWritten).toBeLessThan(32 * BODY_LIMIT);
    await expectAlive();
  });
});

test('clients that hang up, at whatever moment, leave the server as it was', async () => {
  const gone = Array.from({ length: 24 }, async (_, i) => {
    const signal = AbortSignal.timeout(10 * i);
    const init = { method: 'POST', body: page, headers: PNG, signal };
    const response = await fetch(`${server.url}/segment?view=overlay`, init);
    return response.arrayBuffer();
  });
  const ends = await Promise.allSettled(gone);
  expect(ends.some(({ status }) => status === 'rejected')).toBe(true);
  await expectAlive();
  let text = '';
  // What nobody waits for any more may still be on its way through the network.
  while (!/^freqfusion_in_flight\{model="layout"\} 0$/m.test(text)) {
    text = await (await fetch(`${server.url}/metrics`)).text();
  }
  expect(text).toMatch(/^freqfusion_images_total\{model="layout",outcome="ERR_ABORTED"\} [1-9]/m);
  expect(text).not.toMatch(/^freqfusion_requests_total\{route="\/segment",status="500"\}/m);
});

describe('hostile images', () => {
  test.each(FORMATS)('%s cut short', async (format) => {
    const whole = await noiseImage(format);
    expect((await post('/segment', whole, PNG)).status).toBe(200);
    for (const length of [20, whole.length >> 1]) {
      await expectError(post('/segment', whole.subarray(0, length), PNG), 400, 'ERR_IMAGE_READ');
    }
  });

  test.each(FORMATS)('%s that claims far more pixels than it has', async (format) => {
    const actual = format === 'webp' ? '16383 x 16383 pixels' : '60000 x 60000 pixels';
    await expectError(post('/detect', await bomb(format), PNG), 413, 'ERR_IMAGE_TOO_LARGE', {
      expected: 'at most 1000000 pixels',
      actual,
    });
  });

  test('a PNG that inflates far beyond its size', async () => {
    const row = Buffer.concat([Buffer.from([0, 255, 0, 0]), Buffer.alloc(60_000_000)]);
    const before = process.memoryUsage().rss;
    const response = await post('/segment', pngOf(1, 1, row), PNG);
    expect([response.status, ((await response.json()) as { runs: number[] }).runs.length]).toEqual([200, 2]);
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
  });

  test('a PNG with a comment and a colour profile that inflate', async () => {
    const zeros = deflateSync(Buffer.alloc(30_000_000));
    const extra = [
      chunk('iCCP', Buffer.concat([Buffer.from('p\0\0', 'latin1'), zeros])),
      chunk('zTXt', Buffer.concat([Buffer.from('c\0\0', 'latin1'), zeros])),
    ];
    const { status } = await post('/segment', pngOf(1, 1, Buffer.from([0, 255, 0, 0]), extra), PNG);
    expect(status).toBe(200);
  });

  test.each(['gif', 'webp'] as const)('of an animated %s the first frame counts', async (format) => {
    const response = await post('/segment', await animated(format), PNG);
    expect(await response.json()).toMatchObject({ width: 64, height: 48 });
  });

  test('after all of it the server answers', expectAlive);
});
