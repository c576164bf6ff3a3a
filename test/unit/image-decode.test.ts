import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { decodeImage } from '../../lib/image/decode';
import { sniffFormat } from '../../lib/image/format';
import type { ImageInput } from '../../lib/image/types';

const [W, H] = [37, 23];

/** A picture in which every pixel of the top left quarter differs and no side is a power of two. */
function gradient(channels: number, width = W, height = H): Buffer {
  const data = Buffer.alloc(width * height * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++)
        data[(y * width + x) * channels + c] = [x * 6, y * 11, (x + y) * 4, 255][c]!;
    }
  }
  return data;
}

const rgb = gradient(3);
const picture = () => sharp(rgb, { raw: { width: W, height: H, channels: 3 } });
const meanDifference = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'freqfusion-image-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ENCODERS: Record<string, () => Promise<Buffer>> = {
  jpeg: () => picture().jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
  'progressive jpeg': () =>
    picture().jpeg({ progressive: true, quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
  png: () => picture().png().toBuffer(),
  'interlaced png': () => picture().png({ progressive: true }).toBuffer(),
  'lossless webp': () => picture().webp({ lossless: true }).toBuffer(),
  webp: () => picture().webp({ quality: 95 }).toBuffer(),
  'lzw tiff': () => picture().tiff({ compression: 'lzw' }).toBuffer(),
  'plain tiff': () => picture().tiff({ compression: 'none' }).toBuffer(),
  gif: () => picture().gif().toBuffer(),
  avif: () => picture().avif({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
};
const LOSSLESS = ['png', 'interlaced png', 'lossless webp', 'lzw tiff', 'plain tiff'];

describe('formats', () => {
  test.each(Object.keys(ENCODERS))('%s decodes to RGB at its own size', async (name) => {
    const image = await decodeImage(await ENCODERS[name]!());
    expect([image.width, image.height, image.channels]).toEqual([W, H, 3]);
    expect(image.format).toBe(name.split(' ').at(-1));
    if (LOSSLESS.includes(name)) expect(Buffer.compare(image.data, rgb)).toBe(0);
    else expect(meanDifference(image.data, rgb)).toBeLessThan(6);
  });

  test('a palette PNG gives exactly the colours of its palette', async () => {
    const colors = [
      [255, 255, 255],
      [66, 133, 244],
      [219, 68, 55],
    ];
    const data = Buffer.from(Array.from({ length: W * H }, (_, i) => colors[i % 3]!).flat());
    const png = await sharp(data, { raw: { width: W, height: H, channels: 3 } })
      .png({ palette: true })
      .toBuffer();
    expect((await sharp(png).metadata()).isPalette).toBe(true);
    expect(Buffer.compare((await decodeImage(png)).data, data)).toBe(0);
  });

  test('16-bit samples keep their upper 8 bits', async () => {
    const samples = Uint16Array.from({ length: W * H * 3 }, (_, i) => (i * 2749) % 65536);
    const raw = { width: W, height: H, channels: 3 as const };
    const png = await sharp(samples, { raw }).toColourspace('rgb16').png().toBuffer();
    const { data } = await decodeImage(png);
    expect(Array.from(data)).toEqual(Array.from(samples, (value) => value >> 8));
  });

  test('grey, 8 and 16 bits, is repeated in the three channels', async () => {
    const grey = gradient(1);
    const png = await sharp(grey, { raw: { width: W, height: H, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    const wanted = Array.from(grey).flatMap((value) => [value, value, value]);
    expect(Array.from((await decodeImage(png)).data)).toEqual(wanted);

    const wide = Uint16Array.from(grey, (value) => value * 256 + 7);
    const raw = { width: W, height: H, channels: 1 as const };
    const png16 = await sharp(wide, { raw }).toColourspace('grey16').png().toBuffer();
    expect(Array.from((await decodeImage(png16)).data)).toEqual(wanted);
  });

  test('transparency is flattened on white, or on the background that is asked for', async () => {
    const rgba = gradient(4);
    for (let i = 0; i < W * H; i++) rgba[4 * i + 3] = [0, 255, 128][i % 3]!;
    const png = await sharp(rgba, { raw: { width: W, height: H, channels: 4 } })
      .png()
      .toBuffer();
    for (const background of [undefined, [10, 200, 60] as const]) {
      const { data } = await decodeImage(png, background === undefined ? {} : { background });
      const under = background ?? [255, 255, 255];
      for (let i = 0; i < W * H; i++) {
        const alpha = rgba[4 * i + 3]! / 255;
        for (let c = 0; c < 3; c++) {
          const wanted = rgba[4 * i + c]! * alpha + under[c]! * (1 - alpha);
          expect(Math.abs(data[3 * i + c]! - wanted)).toBeLessThanOrEqual(alpha === 0 || alpha === 1 ? 0 : 1);
        }
      }
    }
  });

  test('16-bit transparency is flattened as well', async () => {
    const samples = Uint16Array.from({ length: W * H * 4 }, (_, i) => (i % 4 === 3 ? 0 : 12345));
    const raw = { width: W, height: H, channels: 4 as const };
    const png = await sharp(samples, { raw }).toColourspace('rgb16').png().toBuffer();
    expect(Array.from((await decodeImage(png)).data)).toEqual(new Array(W * H * 3).fill(255));
  });

  test.each(['jpeg', 'tiff'] as const)('CMYK %s becomes sRGB', async (format) => {
    const flat = Buffer.from(Array.from({ length: W * H }, () => [200, 40, 60]).flat());
    const cmyk = sharp(flat, { raw: { width: W, height: H, channels: 3 } }).toColourspace('cmyk');
    const bytes = await (format === 'jpeg' ? cmyk.jpeg({ quality: 100 }) : cmyk.tiff()).toBuffer();
    expect((await sharp(bytes).metadata()).space).toBe('cmyk');
    const { data, channels } = await decodeImage(bytes);
    expect(channels).toBe(3);
    // Print has fewer colours: red stays clearly red.
    expect(data[0]! - data[1]!).toBeGreaterThan(90);
    expect(data[0]! - data[2]!).toBeGreaterThan(70);
  });

  test('an ICC profile changes nothing unless colour management is asked for', async () => {
    const png = await picture().withIccProfile('p3').png().toBuffer();
    const stored = await sharp(png, { ignoreIcc: true }).raw().toBuffer();
    expect(Buffer.compare((await decodeImage(png)).data, stored)).toBe(0);
    const managed = await decodeImage(png, { colorManagement: true });
    expect(Buffer.compare(managed.data, stored)).not.toBe(0);
    expect(meanDifference(managed.data, rgb)).toBeLessThan(3);
  });

  test('a gamma chunk changes nothing', async () => {
    const png = await picture().png().toBuffer();
    const chunk = Buffer.from('0000000467414d410000271000000000', 'hex');
    chunk.writeUInt32BE(crc32(chunk.subarray(4, 12)), 12);
    const withGamma = Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
    expect(Buffer.compare((await decodeImage(withGamma)).data, rgb)).toBe(0);
  });

  test('an animation gives its first frame', async () => {
    const frames = Buffer.concat([Buffer.alloc(W * H * 3, 0), Buffer.alloc(W * H * 3, 255)]);
    for (const format of ['gif', 'webp'] as const) {
      const made = sharp(frames, { raw: { width: W, height: 2 * H, channels: 3, pageHeight: H } });
      const bytes = await (format === 'gif' ? made.gif() : made.webp({ lossless: true })).toBuffer();
      expect((await sharp(bytes).metadata()).pages).toBe(2);
      const image = await decodeImage(bytes);
      expect([image.width, image.height]).toEqual([W, H]);
      expect(Math.max(...image.data)).toBe(0);
    }
  });
});

describe('EXIF orientation', () => {
  // Where the upper left pixel of the upright image lies in the stored one, and whether the sides change places.
  const turned: Record<number, (x: number, y: number, w: number, h: number) => [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y, w) => [w - 1 - x, y],
    3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
    4: (x, y, _w, h) => [x, h - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y, _w, h) => [y, h - 1 - x],
    7: (x, y, w, h) => [w - 1 - y, h - 1 - x],
    8: (x, y, w) => [w - 1 - y, x],
  };
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('orientation %i', async (orientation) => {
    for (const format of ['png', 'tiff', 'webp', 'jpeg'] as const) {
      const tagged = picture().withMetadata({ orientation });
      const bytes = await (format === 'webp'
        ? tagged.webp({ lossless: true })
        : format === 'jpeg'
          ? tagged.jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
          : format === 'tiff'
            ? tagged.tiff({ compression: 'lzw' })
            : tagged.png()
      ).toBuffer();
      const image = await decodeImage(bytes);
      const [w, h] = orientation > 4 ? [H, W] : [W, H];
      expect([image.width, image.height]).toEqual([w, h]);
      let worst = 0;
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) {
          const [sx, sy] = turned[orientation]!(x, y, W, H);
          for (let c = 0; c < 3; c++) {
            worst = Math.max(worst, Math.abs(image.data[(y * w + x) * 3 + c]! - rgb[(sy * W + sx) * 3 + c]!));
          }
        }
      }
      expect(worst).toBeLessThanOrEqual(format === 'jpeg' ? 12 : 0);
    }
  });
});

describe('sources', () => {
  let png: Buffer;
  let file: string;
  beforeAll(async () => {
    png = await ENCODERS.png!();
    file = join(folder, 'picture.png');
    await writeFile(file, png);
  });

  const sources: Record<string, () => ImageInput> = {
    path: () => file,
    'file URL': () => pathToFileURL(file),
    Buffer: () => png,
    'Uint8Array view': () => {
      const padded = new Uint8Array(png.length + 5);
      padded.set(png, 5);
      return padded.subarray(5);
    },
    ArrayBuffer: () => new Uint8Array(png).buffer,
    DataView: () => new DataView(new Uint8Array(png).buffer),
    Blob: () => new Blob([new Uint8Array(png)]),
    'file stream': () => createReadStream(file, { highWaterMark: 100 }),
    Readable: () => Readable.from([png.subarray(0, 10), png.subarray(10)]),
    'web stream': () => new Blob([new Uint8Array(png)]).stream(),
    'raw RGB': () => ({ data: new Uint8Array(rgb), width: W, height: H }),
    'raw RGBA': () => ({ data: new Uint8ClampedArray(gradient(4)), width: W, height: H }),
  };
  test.each(Object.keys(sources))('%s', async (name) => {
    const image = await decodeImage(sources[name]!());
    expect([image.width, image.height, image.channels]).toEqual([W, H, 3]);
    expect(Buffer.compare(image.data, rgb)).toBe(0);
  });

  test('a path is remembered', async () => {
    expect((await decodeImage(file)).file).toBe(file);
    expect((await decodeImage(png)).file).toBeUndefined();
  });

  test('a decoded image passes as it is', async () => {
    const image = await decodeImage(png);
    expect(await decodeImage(image)).toBe(image);
  });

  test('raw grey, and grey with alpha', async () => {
    const grey = await decodeImage({ data: new Uint8Array([9, 200]), width: 2, height: 1 });
    expect(Array.from(grey.data)).toEqual([9, 9, 9, 200, 200, 200]);
    const faded = await decodeImage({ data: new Uint8Array([9, 0, 200, 255]), width: 2, height: 1 });
    expect(Array.from(faded.data)).toEqual([255, 255, 255, 200, 200, 200]);
  });
});

describe('refusals', () => {
  test('wrong arguments', async () => {
    const data = new Uint8Array(12);
    for (const [input, code] of [
      [42, 'ERR_TYPE'],
      [null, 'ERR_TYPE'],
      [{}, 'ERR_TYPE'],
      [new URL('https://example.org/a.png'), 'ERR_TYPE'],
      [{ data: new Float32Array(12), width: 2, height: 2 }, 'ERR_TYPE'],
      [{ data, width: 2.5, height: 2 }, 'ERR_RANGE'],
      [{ data, width: 0, height: 2 }, 'ERR_RANGE'],
      [{ data, width: 5, height: 2 }, 'ERR_SHAPE'],
      [{ data, width: 2, height: 2, channels: 4 }, 'ERR_SHAPE'],
      [Readable.from(['text', 'text']), 'ERR_TYPE'],
    ] as const) {
      await expect(decodeImage(input as unknown as ImageInput)).rejects.toMatchObject({ code });
    }
    await expect(decodeImage(rgb, { maxPixels: 0 })).rejects.toMatchObject({ code: 'ERR_RANGE' });
    await expect(decodeImage(rgb, { background: [1, 2, 300] })).rejects.toMatchObject({ code: 'ERR_COLOR' });
  });

  test('missing files, folders and unreadable streams', async () => {
    const missing = join(folder, 'nowhere.png');
    await expect(decodeImage(missing)).rejects.toMatchObject({
      code: 'ERR_IMAGE_MISSING',
      message: `there is no file ${missing}`,
    });
    await expect(decodeImage(folder)).rejects.toMatchObject({ code: 'ERR_IMAGE_READ', actual: 'a folder' });
    await expect(decodeImage(createReadStream(missing))).rejects.toMatchObject({ code: 'ERR_IMAGE_READ' });
  });

  test('bytes that are no image say what they are', async () => {
    for (const [bytes, actual] of [
      [Buffer.alloc(0), 'no bytes at all'],
      [Buffer.from('%PDF-1.7 ...'), 'a PDF document'],
      [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'an SVG drawing'],
      [Buffer.from('BM6..........'), 'a BMP image'],
      [Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic'), 'a HEIC image'],
      [Buffer.from('hello, world'), 'bytes that start with 68656c6c6f2c2077'],
    ] as const) {
      const refused = {
        code: 'ERR_IMAGE_FORMAT',
        actual,
        expected: 'a JPEG, PNG, WebP, TIFF, GIF or AVIF image',
      };
      await expect(decodeImage(bytes)).rejects.toMatchObject(refused);
    }
    expect(sniffFormat(Buffer.from('\0\0\0\x1cftypmif1\0\0\0\0avifmif1')).format).toBe('avif');
  });

  test.each(Object.keys(ENCODERS))('%s cut short is an error, not half an image', async (name) => {
    const bytes = await ENCODERS[name]!();
    for (const share of [0.1, 0.5, 0.8, 0.95]) {
      const cut = bytes.subarray(0, Math.max(24, Math.floor(bytes.length * share)));
      await expect(decodeImage(cut)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_IMAGE_(READ|FORMAT)$/),
      });
    }
  });

  test.each(Object.keys(ENCODERS))(
    '%s with damaged bytes is an error or an image, never a crash',
    async (name) => {
      const bytes = await ENCODERS[name]!();
      for (let at = 12; at < bytes.length; at += Math.ceil(bytes.length / 25)) {
        const damaged = Buffer.from(bytes);
        damaged[at] = damaged[at]! ^ 0x5a;
        const outcome = await decodeImage(damaged, { maxPixels: 1e6 }).then(
          ({ data, width, height }) => (data.length === width * height * 3 ? 'image' : 'wrong'),
          (error) => error.code,
        );
        expect(['image', 'ERR_IMAGE_READ', 'ERR_IMAGE_FORMAT', 'ERR_IMAGE_TOO_LARGE']).toContain(outcome);
      }
    },
  );

  test('too many pixels are refused from the header alone, in every form', async () => {
    const png = await ENCODERS.png!();
    const refused = {
      code: 'ERR_IMAGE_TOO_LARGE',
      expected: 'at most 850 pixels',
      actual: `${W} x ${H} pixels`,
    };
    await expect(decodeImage(png, { maxPixels: 850 })).rejects.toMatchObject(refused);
    await expect(decodeImage(png, { maxPixels: 851 })).resolves.toBeDefined();
    await expect(decodeImage({ data: rgb, width: W, height: H }, { maxPixels: 850 })).rejects.toMatchObject(
      refused,
    );
    await expect(decodeImage(await decodeImage(png), { maxPixels: 850 })).rejects.toMatchObject(refused);

    // A header of 60,000 x 60,000 pixels over the same few bytes: 10.8 GB if it were decoded.
    const bomb = Buffer.from(png);
    bomb.writeUInt32BE(60_000, 16);
    bomb.writeUInt32BE(60_000, 20);
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
    await expect(decodeImage(bomb)).rejects.toMatchObject({
      code: 'ERR_IMAGE_TOO_LARGE',
      actual: '60000 x 60000 pixels',
    });
  });

  test('too many bytes are refused while they are read', async () => {
    const png = await ENCODERS.png!();
    const limit = { maxBytes: png.length - 1 };
    const file = join(folder, 'large.png');
    await writeFile(file, png);
    for (const input of [png, file, new Blob([new Uint8Array(png)]), Readable.from([png, png])]) {
      await expect(decodeImage(input, limit)).rejects.toMatchObject({ code: 'ERR_IMAGE_TOO_LARGE' });
    }
    async function* endless() {
      for (;;) yield new Uint8Array(1 << 16);
    }
    await expect(decodeImage(endless(), { maxBytes: 1 << 20 })).rejects.toMatchObject({
      code: 'ERR_IMAGE_TOO_LARGE',
    });
  });

  test('a signal that has fired stops it', async () => {
    const signal = AbortSignal.abort();
    await expect(decodeImage(await ENCODERS.png!(), { signal })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
  });
});

test('a timer ticks while a large image is decoded', async () => {
  const [width, height] = [4000, 3000];
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < data.length; i += 97) data[i] = i & 255;
  const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const started = performance.now();
  await decodeImage(bytes);
  const elapsed = performance.now() - started;
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(elapsed / 20);
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
