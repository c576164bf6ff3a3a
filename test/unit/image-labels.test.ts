import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { encodeLabelPng, readLabelMap, writeBytes } from '../../lib/image/labels';
import { makePalette } from '../../lib/image/palette';
import { hasIndices, readPngIndices } from '../../lib/image/png-indices';

const [W, H] = [19, 11];

/** A PNG by hand: any bit depth, the five row filters in turn, palette or grey. */
function makePng(
  samples: ArrayLike<number>,
  bitDepth: number,
  palette?: number[][],
  filters = [0, 1, 2, 3, 4],
): Buffer {
  const step = bitDepth === 16 ? 2 : 1;
  const rowBytes = Math.ceil((W * bitDepth) / 8);
  const rows: Buffer[] = [];
  let above = Buffer.alloc(rowBytes);
  for (let y = 0; y < H; y++) {
    const line = Buffer.alloc(rowBytes);
    for (let x = 0; x < W; x++) {
      const value = samples[y * W + x]!;
      if (bitDepth === 16) line.writeUInt16BE(value, 2 * x);
      else {
        const bit = x * bitDepth;
        line[bit >> 3] = line[bit >> 3]! | (value << (8 - bitDepth - (bit & 7)));
      }
    }
    const filter = filters[y % filters.length]!;
    const filtered = Buffer.from(line);
    for (let i = 0; i < rowBytes; i++) {
      const [a, b, c] = [i < step ? 0 : line[i - step]!, above[i]!, i < step ? 0 : above[i - step]!];
      const p = a + b - c;
      const nearest = [a, b, c].reduce(
        (best, each) => (Math.abs(p - each) < Math.abs(p - best) ? each : best),
        a,
      );
      filtered[i] = line[i]! - [0, a, b, (a + b) >> 1, nearest][filter]!;
    }
    rows.push(Buffer.from([filter]), filtered);
    above = line;
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(W, 0);
  header.writeUInt32BE(H, 4);
  header.set([bitDepth, palette === undefined ? 0 : 3, 0, 0, 0], 8);
  const parts = [chunk('IHDR', header)];
  if (palette !== undefined) parts.push(chunk('PLTE', Buffer.from(palette.flat())));
  const data = deflateSync(Buffer.concat(rows));
  // Two chunks: the stream may be cut anywhere.
  parts.push(
    chunk('IDAT', data.subarray(0, 9)),
    chunk('IDAT', data.subarray(9)),
    chunk('IEND', Buffer.alloc(0)),
  );
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...parts]);
}

function chunk(kind: string, body: Buffer): Buffer {
  const whole = Buffer.alloc(body.length + 12);
  whole.writeUInt32BE(body.length, 0);
  whole.write(kind, 4, 'latin1');
  body.copy(whole, 8);
  let crc = 0xffffffff;
  for (const byte of whole.subarray(4, body.length + 8)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  whole.writeUInt32BE((crc ^ 0xffffffff) >>> 0, body.length + 8);
  return whole;
}

const samplesOf = (depth: number) =>
  Array.from({ length: W * H }, (_, i) => (i * 40503 + (i >> 3)) % 2 ** depth);

describe('stored indices', () => {
  test.each([1, 2, 4, 8, 16])('a greyscale PNG of %i bits gives its samples, unscaled', async (depth) => {
    const samples = samplesOf(depth);
    const read = await readPngIndices(makePng(samples, depth), 1e6);
    expect(read).toMatchObject({ width: W, height: H, bitDepth: depth });
    expect(Array.from(read.indices)).toEqual(samples);
  });

  test.each([1, 2, 4, 8])('a palette PNG of %i bits gives indices, not colours', async (depth) => {
    const samples = samplesOf(depth);
    const palette = Array.from({ length: 2 ** depth }, (_, i) => [255 - i, 0, i]);
    const read = await readPngIndices(makePng(samples, depth, palette), 1e6);
    expect(Array.from(read.indices)).toEqual(samples);
    expect(read.palette).toEqual(palette);
  });

  test.each([0, 1, 2, 3, 4])('row filter %i', async (filter) => {
    const samples = samplesOf(8);
    expect(Array.from((await readPngIndices(makePng(samples, 8, undefined, [filter]), 1e6)).indices)).toEqual(
      samples,
    );
  });

  test.each([2, 4, 16, 256])('an interlaced palette PNG of %i colours', async (colours) => {
    const colors = makePalette(colours);
    for (const [width, height] of [
      [33, 21],
      [3, 2],
      [1, 1],
    ] as const) {
      const data = Buffer.from(
        Array.from({ length: width * height }, (_, i) => colors[(i * 7) % colours]!).flat(),
      );
      const raw = { width, height, channels: 3 as const };
      const png = await sharp(data, { raw })
        .png({ palette: true, progressive: true, dither: 0, effort: 1 })
        .toBuffer();
      expect(hasIndices(png)).toBe(true);
      const { indices, palette } = await readPngIndices(png, 1e6);
      const decoded = await sharp(png).removeAlpha().toColourspace('srgb').raw().toBuffer();
      expect(Array.from(indices).flatMap((index) => palette![index]!)).toEqual(Array.from(decoded));
    }
  });

  test('colour PNGs and other bytes are refused', async () => {
    const rgb = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#123456' } })
      .png()
      .toBuffer();
    await expect(readPngIndices(rgb, 1e6)).rejects.toMatchObject({
      code: 'ERR_IMAGE_FORMAT',
      actual: 'a PNG of colour type 2',
    });
    await expect(readPngIndices(Buffer.from('nothing'), 1e6)).rejects.toMatchObject({
      code: 'ERR_IMAGE_FORMAT',
    });
  });

  test('damaged, short and overlong files are refused', async () => {
    const whole = makePng(samplesOf(8), 8);
    const damage = { code: 'ERR_IMAGE_READ' };
    await expect(readPngIndices(whole.subarray(0, 60), 1e6)).rejects.toMatchObject(damage);
    const short = Buffer.from(whole);
    short.writeUInt32BE(H + 1, 20);
    await expect(readPngIndices(short, 1e6)).rejects.toMatchObject(damage);
    const long = Buffer.from(whole);
    long.writeUInt32BE(H - 1, 20);
    await expect(readPngIndices(long, 1e6)).rejects.toMatchObject(damage);
    await expect(readPngIndices(makePng(samplesOf(8), 8, undefined, [7]), 1e6)).rejects.toMatchObject(damage);
    await expect(readPngIndices(whole, W * H - 1)).rejects.toMatchObject({ code: 'ERR_IMAGE_TOO_LARGE' });
  });
});

describe('label maps', () => {
  test('a label PNG is 8 bits, one channel, and holds the indices themselves', async () => {
    const labels = Uint8Array.from({ length: W * H }, (_, i) => i % 150);
    const png = await encodeLabelPng({ labels, width: W, height: H });
    expect([png[24], png[25]]).toEqual([8, 0]);
    expect((await sharp(png).metadata()).channels).toBe(1);
    const again = await readLabelMap(png);
    expect(again).toMatchObject({ width: W, height: H });
    expect(Array.from(again.labels)).toEqual(Array.from(labels));
    const decoded = await sharp(png).toColourspace('b-w').raw().toBuffer();
    expect(Array.from(decoded)).toEqual(Array.from(labels));
  });

  test('indices over 255 make it 16 bits', async () => {
    const labels = Int32Array.from({ length: W * H }, (_, i) => i * 300);
    const png = await encodeLabelPng({ labels, width: W, height: H });
    expect([png[24], png[25]]).toEqual([16, 0]);
    expect(Array.from((await readLabelMap(png)).labels)).toEqual(Array.from(labels));
    const few = await encodeLabelPng({ labels: Int32Array.from([0, 1, 2, 255]), width: 2, height: 2 });
    expect(few[24]).toBe(8);
    await expect(
      encodeLabelPng({ labels: Int32Array.from([-1]), width: 1, height: 1 }),
    ).rejects.toMatchObject({
      code: 'ERR_LABEL_VALUE',
    });
  });

  test('a colour-coded map is read through its palette', async () => {
    const palette = makePalette(7);
    const labels = Array.from({ length: W * H }, (_, i) => i % 7);
    const data = Buffer.from(labels.flatMap((label) => palette[label]!));
    const png = await sharp(data, { raw: { width: W, height: H, channels: 3 } })
      .png()
      .toBuffer();
    expect(Array.from((await readLabelMap(png, { palette })).labels)).toEqual(labels);
    await expect(readLabelMap(png)).rejects.toMatchObject({ code: 'ERR_LABEL_FORMAT' });
    await expect(readLabelMap(png, { palette: palette.slice(0, 6) })).rejects.toMatchObject({
      code: 'ERR_LABEL_COLOR',
    });
    const ignored = await readLabelMap(png, { palette: palette.slice(0, 6), unknown: 255 });
    expect(Array.from(ignored.labels)).toEqual(labels.map((label) => (label === 6 ? 255 : label)));
  });

  test('raw indices and files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'freqfusion-labels-'));
    try {
      const labels = new Uint8Array(W * H).fill(3);
      expect(Array.from((await readLabelMap({ data: labels, width: W, height: H })).labels)).toEqual(
        Array.from(labels),
      );
      const file = join(folder, 'a.png');
      await writeBytes(file, await encodeLabelPng({ labels, width: W, height: H }));
      expect((await readLabelMap(file)).labels[7]).toBe(3);
      expect((await readFile(file)).length).toBeGreaterThan(0);
      await writeFile(join(folder, 'plain'), 'x');
      await expect(writeBytes(join(folder, 'none', 'a.png'), labels)).rejects.toMatchObject({
        code: 'ERR_IMAGE_WRITE',
        actual: 'its folder does not exist',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test('palettes are stable, distinct, and extend each other', () => {
  const palette = makePalette(200);
  expect(new Set(palette.map(String)).size).toBe(200);
  expect(makePalette(20)).toEqual(palette.slice(0, 20));
  expect(palette.flat().every((value) => Number.isInteger(value) && value >= 0 && value <= 255)).toBe(true);
});
