import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { errorOf, held, type Page, post, samplePages, untilIdle } from './faults-world';
import { type Running, withServer } from './run';

const FORMATS = ['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif'] as const;

let page: Page;

beforeAll(async () => {
  [page] = (await samplePages(1)) as [Page];
});

/** Expects an answer of one of the statuses, in the shape of every error, that tells nothing of the host. */
function expectRefused(answer: Awaited<ReturnType<typeof post>>, statuses: readonly number[]): string {
  expect(statuses).toContain(answer.status);
  const { code, error, requestId } = errorOf(answer);
  expect(code).toMatch(/^ERR_/);
  expect(error).not.toMatch(/\/(home|usr|tmp|root|node_modules)\b|\n/);
  expect(requestId).toBe(answer.headers['x-request-id']);
  return code;
}

async function serves({ url }: Running): Promise<void> {
  const { status, body } = await post(url, page.body);
  expect(status).toBe(200);
  expect(body.equals(page.labels)).toBe(true);
}

test('damaged images of every format get an answer that says so, beside good ones that get theirs', async () => {
  await withServer({}, async (running) => {
    const before = held(running.server);
    const sent: Promise<void>[] = [];
    for (const format of FORMATS) {
      const image = await sharp(page.body).resize(200).toFormat(format).toBuffer();
      const head = image.subarray(0, 64);
      const cut = image.subarray(0, image.length >> 1);
      const noise = Buffer.concat([head, Buffer.alloc(image.length - 64, 0x5a)]);
      const headers = { 'content-type': `image/${format}` };
      for (const body of [cut, head]) {
        sent.push(
          post(running.url, body, { headers }).then((answer) => {
            const code = expectRefused(answer, [400, 415]);
            expect({ format, code }).toEqual({ format, code: expect.stringMatching(/^ERR_IMAGE_/) });
          }),
        );
      }
      sent.push(
        post(running.url, noise, { headers }).then(async (answer) => {
          // In WebP and AVIF nearly all bytes mean some picture; then it is that one's labels that count.
          if (answer.status !== 200) return void expectRefused(answer, [400, 415]);
          const [sides, wanted] = [await sharp(answer.body).metadata(), await sharp(image).metadata()];
          expect([format, sides.width, sides.height]).toEqual([format, wanted.width, wanted.height]);
        }),
      );
      sent.push(serves(running));
    }
    await Promise.all(sent);
    await untilIdle(running.server, before);
  });
});

test('bytes that are no image at all', async () => {
  await withServer({}, async (running) => {
    for (const body of [Buffer.from('hello'), Buffer.alloc(10_000), Buffer.from('<svg/>'), Buffer.alloc(0)]) {
      expectRefused(await post(running.url, body), [400, 415]);
    }
    await serves(running);
  });
});

/** A PNG of white 1-bit pixels that says of itself that it has other sides. */
function pngBomb(side: number, claimed = side): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(claimed, 0);
  header.writeUInt32BE(claimed, 4);
  header[8] = 1;
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(side * (1 + Math.ceil(side / 8))))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

test('images that unpack to far more than they weigh are refused before they are unpacked', async () => {
  await withServer({ maxPixels: 4_000_000 }, async (running) => {
    const before = held(running.server);
    const white = { width: 6000, height: 6000, channels: 3, background: 'white' } as const;
    const huge = await sharp({ create: white }).jpeg({ quality: 1 }).toBuffer();
    const bombs = [pngBomb(20_000), pngBomb(100, 2_000_000_000), huge];
    const resident = process.memoryUsage.rss();
    for (const body of bombs) {
      for (const path of ['/segment', '/segment?view=overlay']) {
        expectRefused(await post(running.url, body, { path }), [400, 413, 415]);
      }
    }
    // Unpacked, the first alone would take 1.2 GB.
    expect(process.memoryUsage.rss() - resident).toBeLessThan(500e6);
    await serves(running);
    await untilIdle(running.server, before);
  });
});

test('a body past the limit is refused, with a length and without one', async () => {
  await withServer({ bodyLimit: 200_000 }, async (running) => {
    const big = Buffer.concat([page.body, Buffer.alloc(400_000)]);
    const lengths = [{ 'content-length': big.length }, { 'transfer-encoding': 'chunked' }];
    for (const length of lengths) {
      const answer = await post(running.url, big, { headers: { 'content-type': 'image/png', ...length } });
      // The server may close the connection while the client still sends.
      if (answer.status !== 0) expect(expectRefused(answer, [413])).toBe('ERR_BODY_TOO_LARGE');
      else expect(['EPIPE', 'ECONNRESET']).toContain(answer.failure);
    }
    await serves(running);
  });
});

describe('POST /v2/models/layout/infer', () => {
  const path = '/v2/models/layout/infer';
  const headers = { 'content-type': 'application/json' };

  function tensor(datatype: string, shape: readonly unknown[], data: readonly unknown[]) {
    return Buffer.from(JSON.stringify({ inputs: [{ name: 'image', datatype, shape, data }] }));
  }

  test('tensors that are not what they say get 400, and the next image its answer', async () => {
    await withServer({}, async (running) => {
      const before = held(running.server);
      const grey = new Array(12).fill(128);
      const wrong = [
        tensor('UINT8', [1, 2, 2, 3], grey.slice(1)),
        tensor('UINT8', [1, 2, 2, 3], [...grey, 1]),
        tensor('UINT8', [1, 2, 2, 5], new Array(20).fill(1)),
        tensor('UINT8', [1, -2, -2, 3], grey),
        tensor('UINT8', [1, 2 ** 31, 2 ** 31, 3], grey),
        tensor('UINT8', [1, 0, 0, 3], []),
        tensor('UINT8', [], []),
        tensor('UINT8', [1, 2, 2, 3], [...grey.slice(1), 256]),
        tensor('UINT8', [1, 2, 2, 3], [...grey.slice(1), -1]),
        tensor('UINT8', [1, 2, 2, 3], [...grey.slice(1), 0.5]),
        tensor('UINT8', [1, 2, 2, 3], [...grey.slice(1), 'x']),
        tensor('UINT8', [1, 2, 2, 3], [...grey.slice(1), null]),
        tensor('FP32', [1, 2, 2, 3], grey),
        tensor('FP32', [1, 2, 2, 3], new Array(12).fill(null)),
        tensor('COMPLEX', [1, 2, 2, 3], grey),
        // NaN is no JSON, but what some clients write.
        Buffer.from(`{"inputs":[{"name":"image","datatype":"FP32","shape":[1,1,1,3],"data":[NaN,NaN,NaN]}]}`),
        Buffer.from('{"inputs":[]}'),
        Buffer.from('{}'),
        Buffer.from('[]'),
        Buffer.from('{"inputs"'),
      ];
      for (const body of wrong) {
        const answer = await post(running.url, body, { path, headers });
        expect({ sent: body.toString('utf8', 0, 200), status: answer.status }).toEqual({
          sent: body.toString('utf8', 0, 200),
          status: 400,
        });
        expectRefused(answer, [400]);
      }
      await serves(running);
      await untilIdle(running.server, before);
    });
  });

  test('binary data that are shorter or longer than their shape, NaN among them', async () => {
    await withServer({}, async (running) => {
      const nan = Buffer.from(Float32Array.from(new Array(12).fill(Number.NaN)).buffer);
      for (const [datatype, data] of [
        ['UINT8', Buffer.alloc(11)],
        ['UINT8', Buffer.alloc(13)],
        ['UINT8', Buffer.alloc(0)],
        ['FP32', nan],
        ['FP32', Buffer.alloc(48)],
      ] as const) {
        const input = {
          name: 'image',
          datatype,
          shape: [1, 2, 2, 3],
          parameters: { binary_data_size: data.length },
        };
        const json = Buffer.from(JSON.stringify({ inputs: [input] }));
        for (const length of [json.length, json.length + 1_000_000, -1, 'x']) {
          const answer = await post(running.url, Buffer.concat([json, data]), {
            path,
            headers: { 'inference-header-content-length': String(length) },
          });
          expectRefused(answer, [400]);
        }
      }
      await serves(running);
    });
  });
});
