import { deflateSync, gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { MAX_IMAGES } from '../../lib/server/protocol/images';
import { infer as inferCore } from '../../lib/server/protocol/infer';
import { binaryRequest, bodyOf, image, infer, picture, readReply } from './inference';
import { withServer } from './run';

const MODELS = [
  { name: 'layout', task: 'segment' },
  { name: 'shapes', task: 'detect' },
] as const;

const serve = (work: (url: string) => Promise<void>, options = {}) =>
  withServer({ logLevel: 'silent', ...options }, ({ url }) => work(url), { models: MODELS });

/** An input of 2 x 2 pixels in JSON, changed. */
const input = (changes: object = {}) => ({
  name: 'image',
  datatype: 'UINT8',
  shape: [1, 2, 2, 3],
  data: new Array(12).fill(7),
  ...changes,
});

const request = (changes: object = {}, members: object = {}) => ({ inputs: [input(changes)], ...members });

const files = (data: unknown[], changes: object = {}) => ({
  inputs: [{ name: 'encoded_image', datatype: 'BYTES', shape: [data.length], data, ...changes }],
});

/** Requests, the status and code that each gets, and what stands in the message. */
const REFUSED: readonly (readonly [string, object, number, string, RegExp])[] = [
  ['an unknown datatype', request({ datatype: 'UINT7' }), 400, 'ERR_REQUEST_TENSOR', /a datatype among BOOL/],
  ['floats', request({ datatype: 'FP32' }), 400, 'ERR_REQUEST_TENSOR', /expected UINT8 .* got "FP32"/],
  ['NaN', request({ data: [null, ...new Array(11).fill(0)] }), 400, 'ERR_REQUEST_VALUE', /got null/],
  ['an unknown input', request({ name: 'picture' }), 400, 'ERR_REQUEST_TENSOR', /image or encoded_image/],
  ['two inputs', { inputs: [input(), input()] }, 400, 'ERR_REQUEST_TENSOR', /got image, image/],
  ['no input', { inputs: [] }, 400, 'ERR_REQUEST', /for inputs/],
  ['no data', request({ data: undefined }), 400, 'ERR_REQUEST_TENSOR', /data for image/],
  ['too few pixels', request({ data: [1, 2, 3] }), 400, 'ERR_REQUEST_SHAPE', /12 elements/],
  ['other channels', request({ shape: [1, 2, 2, 4] }), 400, 'ERR_REQUEST_SHAPE', /\[N, H, W, 3\]/],
  ['no batch', request({ shape: [2, 2, 3] }), 400, 'ERR_REQUEST_SHAPE', /\[N, H, W, 3\]/],
  ['no image', request({ shape: [0, 2, 2, 3], data: [] }), 400, 'ERR_REQUEST_SHAPE', /from 1 to 256 images/],
  ['an empty image', request({ shape: [1, 0, 2, 3], data: [] }), 400, 'ERR_REQUEST_SHAPE', /\[N, H, W, 3\]/],
  ['a negative size', request({ shape: [1, -2, 2, 3] }), 400, 'ERR_REQUEST_SHAPE', /sizes from 0/],
  ['a size of a fraction', request({ shape: [1, 0.5, 2, 3] }), 400, 'ERR_REQUEST', /inputs\[0\]\.shape\[1\]/],
  ['a product past 2^53', request({ shape: [256, 2 ** 30, 2 ** 30, 3] }), 400, 'ERR_REQUEST_SHAPE', /2\^53/],
  ['too many pixels', request({ shape: [1, 2 ** 20, 2 ** 20, 3] }), 413, 'ERR_IMAGE_TOO_LARGE', /more than/],
  [
    'binary data without a header',
    request({ data: undefined, parameters: { binary_data_size: 12 } }),
    400,
    'ERR_REQUEST_SHAPE',
    /inference-header-content-length/,
  ],
  [
    'binary and JSON data',
    request({ parameters: { binary_data_size: 12 } }),
    400,
    'ERR_REQUEST_TENSOR',
    /either/,
  ],
  [
    'shared memory',
    request({ parameters: { shared_memory_region: 'x' } }),
    400,
    'ERR_REQUEST_PARAMETER',
    /shared_memory_region/,
  ],
  [
    'an unknown output',
    request({}, { outputs: [{ name: 'label' }] }),
    400,
    'ERR_REQUEST_TENSOR',
    /the nearest is labels/,
  ],
  [
    'an output twice',
    request({}, { outputs: [{ name: 'labels' }, { name: 'labels' }] }),
    400,
    'ERR_REQUEST_TENSOR',
    /each output once/,
  ],
  [
    'an output of a detector',
    request({}, { outputs: [{ name: 'boxes' }] }),
    400,
    'ERR_REQUEST_TENSOR',
    /one of labels/,
  ],
  [
    'classification',
    request({}, { outputs: [{ name: 'labels', parameters: { classification: 3 } }] }),
    400,
    'ERR_REQUEST_PARAMETER',
    /classification/,
  ],
  [
    'a priority that is none',
    request({}, { parameters: { priority: 'urgent' } }),
    400,
    'ERR_REQUEST_PARAMETER',
    /high, normal or low/,
  ],
  [
    'a time limit that is none',
    request({}, { parameters: { timeout: -1 } }),
    400,
    'ERR_REQUEST_PARAMETER',
    /parameters\.timeout/,
  ],
  [
    'a misspelt parameter',
    request({}, { parameters: { prioritty: 1 } }),
    400,
    'ERR_REQUEST_PARAMETER',
    /expected priority/,
  ],
  [
    'binary_data_output of a word',
    request({}, { parameters: { binary_data_output: 'yes' } }),
    400,
    'ERR_REQUEST_PARAMETER',
    /true or false/,
  ],
  ['no base64', files(['%%%']), 400, 'ERR_REQUEST_VALUE', /base64/],
  [
    'another content type',
    files(['AAAA'], { parameters: { content_type: 'str' } }),
    400,
    'ERR_REQUEST_PARAMETER',
    /base64/,
  ],
  [
    'a file that is no image',
    files([Buffer.from('no image').toString('base64')]),
    415,
    'ERR_IMAGE_FORMAT',
    /JPEG/,
  ],
  ['files in a matrix', files(['AAAA'], { shape: [1, 1] }), 400, 'ERR_REQUEST_SHAPE', /\[N\]/],
  ['too many files', files(new Array(MAX_IMAGES + 1).fill('AAAA')), 400, 'ERR_REQUEST_SHAPE', /got 257/],
  [
    'parameters in a list',
    request({ parameters: [1] }),
    400,
    'ERR_REQUEST',
    /object for inputs\[0\]\.parameters/,
  ],
  ['an id that is a number', request({}, { id: 7 }), 400, 'ERR_REQUEST', /string for id, got 7/],
  ['JSON that is no request', { tensors: [] }, 400, 'ERR_REQUEST', /a value for inputs/],
];

describe('a request is refused with its reason', () => {
  test('in JSON', async () => {
    await serve(async (url) => {
      for (const [what, body, status, code, words] of REFUSED) {
        const reply = await infer(url, 'layout', body as never);
        expect([what, reply.status, reply.body.code]).toEqual([what, status, code]);
        expect(reply.body.error).toMatch(words);
        expect(reply.body.requestId).toEqual(expect.any(String));
        if (status === 400) expect(reply.body.expected).toEqual(expect.any(String));
      }
      const nulls = { id: null, outputs: null, parameters: null };
      const good = await infer(url, 'layout', request({ parameters: null }, nulls));
      expect([good.status, good.outputs.labels!.shape]).toEqual([200, [1, 2, 2]]);
    });
  });

  test('with binary data', async () => {
    await serve(async (url) => {
      const { body, length } = bodyOf(binaryRequest(image(4, 4)));
      const post = async (sent: Buffer, headers: Record<string, string>) => {
        const answer = await fetch(`${url}/v2/models/layout/infer`, {
          method: 'POST',
          body: new Uint8Array(sent),
          headers,
        });
        const reply = await readReply(answer);
        return [reply.status, reply.body.code];
      };
      const header = (value: unknown) => ({ 'inference-header-content-length': String(value) });
      expect(await post(body, header(length))).toEqual([200, undefined]);
      for (const wrong of [length - 1, length + 1, body.length + 1, -1, 1.5, 'x', '1e3', '0x10', 2 ** 60]) {
        expect([wrong, ...(await post(body, header(wrong)))]).toEqual([wrong, 400, 'ERR_REQUEST']);
      }
      expect(await post(body.subarray(0, -1), header(length))).toEqual([400, 'ERR_REQUEST_SHAPE']);
      const more = Buffer.concat([body, Buffer.from('x')]);
      expect(await post(more, header(length))).toEqual([400, 'ERR_REQUEST_SHAPE']);
      expect(await post(body, {})).toEqual([400, 'ERR_REQUEST']);
      expect(await post(Buffer.from([0xff, 0xfe, 0x7b]), {})).toEqual([400, 'ERR_REQUEST']);
      expect(await post(Buffer.from('[1, 2]'), {})).toEqual([400, 'ERR_REQUEST']);
      expect(await post(Buffer.alloc(0), {})).toEqual([400, 'ERR_REQUEST']);
    });
  });

  test('in a compression that is damaged, unknown or a bomb', async () => {
    await serve(
      async (url) => {
        const send = async (encoding: string, encode: (body: Buffer) => Buffer) => {
          const headers = { 'content-encoding': encoding };
          const { status, body } = await infer(url, 'layout', request(), { encode, headers });
          return [status, body.code];
        };
        expect(await send('gzip', gzipSync)).toEqual([200, undefined]);
        expect(await send('deflate', deflateSync)).toEqual([200, undefined]);
        expect(await send('gzip', (body) => body)).toEqual([400, 'ERR_REQUEST']);
        expect(await send('gzip', (body) => gzipSync(body).subarray(0, -9))).toEqual([400, 'ERR_REQUEST']);
        expect(await send('br', (body) => body)).toEqual([415, 'ERR_MEDIA_TYPE']);
        const bomb = gzipSync(Buffer.alloc(5_000_000, ' '));
        expect(await send('gzip', () => bomb)).toEqual([413, 'ERR_BODY_TOO_LARGE']);
      },
      { bodyLimit: 1_000_000 },
    );
  });

  test('for images of two sizes where an output is one tensor, and only there', async () => {
    await serve(async (url) => {
      const { file } = await picture();
      const small = await sharp(file).resize(100, 80).png().toBuffer();
      const two = files([file, small].map((each) => each.toString('base64')));
      const { status, body } = await infer(url, 'layout', two);
      expect([status, body.code, body.actual]).toEqual([400, 'ERR_REQUEST_SIZES', '[80, 100] of image 1']);
      expect((await infer(url, 'shapes', two)).status).toBe(200);
    });
  });

  test('for outputs of more bytes than a request may have, before anything is computed', async () => {
    const served = {
      config: { task: 'segment' },
      model: { classes: ['a', 'b', 'c', 'd', 'e'] },
      predict: () => Promise.reject(new Error('it was computed')),
    };
    const pixels = {
      name: 'image',
      datatype: 'UINT8' as const,
      shape: [16, 2000, 2000, 3],
      read: () => new Uint8Array(),
    };
    const large = { parameters: new Map(), inputs: [pixels], outputs: ['probabilities'] };
    const answer = inferCore(served as never, large, { ticket: {}, maxPixels: 4_000_000 });
    await expect(answer).rejects.toMatchObject({
      code: 'ERR_REQUEST_OUTPUT',
      expected: `at most ${2 ** 30} bytes of outputs`,
      actual: `${16 * 4_000_000 * 5 * 4} bytes and more`,
    });
  });
});

/** Numbers in [0, 1) that depend on the seed alone. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('random changes of good requests never break the server, and never go unanswered', async () => {
  await serve(async (url) => {
    const random = randomOf(20_261_127);
    const below = (most: number) => Math.floor(random() * most);
    const { file } = await picture();
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32LE(file.length);
    const encoded = {
      inputs: [
        {
          name: 'encoded_image',
          datatype: 'BYTES',
          shape: [1],
          parameters: { binary_data_size: file.length + 4 },
        },
      ],
      parameters: { binary_data_output: true, priority: 1, timeout: 10_000_000 },
      binary: Buffer.concat([prefix, file]),
    };
    const pixels = { ...binaryRequest(image(8, 6, 2), { all: true }), outputs: [{ name: 'labels' }] };
    const changes: ((body: Buffer, length: number) => [Buffer, number])[] = [
      // A byte of the JSON, a digit of it, a byte of the data; a piece cut out, doubled, or cut off; another header.
      (body, length) => [set(body, below(length), below(256)), length],
      (body, length) => [digit(body, length, below(length), below(10)), length],
      (body, length) => [set(body, length + below(Math.min(64, body.length - length)), below(256)), length],
      (body, length) => [cut(body, below(body.length), below(40)), length],
      (body, length) => [Buffer.concat([body, body.subarray(below(body.length))]), length],
      (body, length) => [body.subarray(0, below(body.length)), length],
      (body, length) => [body, length + below(20) - 10],
    ];
    const seen = new Set<number>();
    for (let i = 0; i < 280; i += 1) {
      const { body, length } = bodyOf(i % 4 === 0 ? encoded : pixels);
      const [sent, header] = changes[i % changes.length]!(body, length);
      const answer = await fetch(`${url}/v2/models/${i % 3 === 0 ? 'shapes' : 'layout'}/infer`, {
        method: 'POST',
        body: new Uint8Array(sent),
        headers: { 'inference-header-content-length': String(header) },
        signal: AbortSignal.timeout(20_000),
      });
      const { status, body: told } = await readReply(answer);
      seen.add(status);
      if (status !== 200) expect(told).toMatchObject({ code: expect.stringMatching(/^ERR_/) });
      expect([i, status < 500, told.code]).toEqual([i, true, told.code]);
    }
    expect([...seen]).toEqual(expect.arrayContaining([200, 400]));
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200);
  });
});

function set(body: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(body);
  changed[at] = value;
  return changed;
}

/** The first digit of the JSON from a place on, changed. */
function digit(body: Buffer, length: number, from: number, value: number): Buffer {
  const at = body.subarray(0, length).findIndex((byte, i) => i >= from && byte >= 48 && byte <= 57);
  return at < 0 ? body : set(body, at, 48 + value);
}

function cut(body: Buffer, at: number, count: number): Buffer {
  return Buffer.concat([body.subarray(0, at), body.subarray(at + count)]);
}
