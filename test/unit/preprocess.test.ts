import { tensor, zeros } from '../../lib';
import { preprocess } from '../../lib/image/preprocess';
import type { PreprocessOptions } from '../../lib/modules/segmentation-options';
import { errorOf } from './synthetic';

type Picture = { height: number; width: number; pixels: Uint8Array };

/** Grey levels that look random, in three channels. */
function picture(height: number, width: number): Picture {
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 2654435761) >>> 24);
  return { height, width, pixels };
}

const asTensor = ({ height, width, pixels }: Picture) =>
  tensor(pixels, [height, width, 3], { dtype: 'uint8' });

async function resized(image: Picture, options: PreprocessOptions) {
  using pixels = asTensor(image);
  const result = await preprocess(pixels, options);
  const { shape } = result.resized;
  return { shape, input: result.input.shape, pixels: Array.from(await result.resized.data()) };
}

/** The plain mean of a cell, weighted by how much of each pixel it covers. */
function areaMean(
  { width, pixels }: Picture,
  [top, bottom]: [number, number],
  [left, right]: [number, number],
  c: number,
) {
  let sum = 0;
  for (let y = Math.floor(top); y < bottom; y += 1) {
    for (let x = Math.floor(left); x < right; x += 1) {
      const share =
        (Math.min(y + 1, bottom) - Math.max(y, top)) * (Math.min(x + 1, right) - Math.max(x, left));
      sum += share * pixels[(y * width + x) * 3 + c]!;
    }
  }
  return sum / ((bottom - top) * (right - left));
}

/** Bilinear with half-pixel centres and clamped edges, in full precision. */
function bilinear({ height, width, pixels }: Picture, y: number, x: number, c: number) {
  const at = (row: number, column: number) => {
    const r = Math.min(Math.max(row, 0), height - 1);
    return pixels[(r * width + Math.min(Math.max(column, 0), width - 1)) * 3 + c]!;
  };
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const [dy, dx] = [y - top, x - left];
  const upper = at(top, left) * (1 - dx) + at(top, left + 1) * dx;
  return upper * (1 - dy) + (at(top + 1, left) * (1 - dx) + at(top + 1, left + 1) * dx) * dy;
}

describe('sizes', () => {
  test.each([
    ['the longer side limits', [20, 150], [256, 64], [34, 256]],
    ['the shorter side limits', [45, 70], [256, 64], [64, 100]],
    ['the scale is given short side first', [45, 70], [64, 256], [64, 100]],
    ['a side would vanish', [1, 900], [64, 64], [1, 64]],
  ])('keep-ratio, where %s', async (_, [height, width], scale, size) => {
    const { shape } = await resized(picture(height!, width!), { resize: { mode: 'keep-ratio', scale } });
    expect(shape).toEqual([...size, 3]);
  });

  test.each([
    [
      [50, 100],
      [32, 64],
    ],
    [
      [100, 37],
      [64, 24],
    ],
    [
      [10, 16],
      [40, 64],
    ],
  ])('longest 64 of %p is %p', async ([height, width], size) => {
    const { shape } = await resized(picture(height!, width!), { resize: { mode: 'longest', size: 64 } });
    expect(shape).toEqual([...size, 3]);
  });

  test('no options: the image keeps its size', async () => {
    const image = picture(5, 7);
    const { shape, input, pixels } = await resized(image, {});
    expect([shape, input]).toEqual([
      [5, 7, 3],
      [1, 3, 5, 7],
    ]);
    expect(pixels).toEqual(Array.from(image.pixels));
  });

  test('a size that fits is left alone, pixel for pixel', async () => {
    const image = picture(48, 64);
    const { pixels } = await resized(image, { resize: { mode: 'longest', size: 64, filter: 'area' } });
    expect(pixels).toEqual(Array.from(image.pixels));
  });
});

describe('resampling', () => {
  test.each([
    ['up', 9, 13, 40],
    ['down, without antialiasing', 61, 90, 23],
  ])('bilinear %s is within one grey level of the exact value', async (_, height, width, size) => {
    const image = picture(height, width);
    const { shape, pixels } = await resized(image, { resize: { mode: 'longest', size } });
    const [h, w] = shape as [number, number];
    const worst = pixels.reduce((most, level, i) => {
      const [y, x] = [Math.floor(i / 3 / w), Math.floor(i / 3) % w];
      const exact = bilinear(image, ((y + 0.5) * height) / h - 0.5, ((x + 0.5) * width) / w - 0.5, i % 3);
      return Math.max(most, Math.abs(level - exact));
    }, 0);
    expect(worst).toBeLessThanOrEqual(1);
  });

  test.each([
    ['by a fraction', 61, 90, 40],
    ['by a whole number', 60, 90, 30],
    ['by two', 60, 90, 45],
  ])('area %s is the mean of what a pixel covers', async (_, height, width, size) => {
    const image = picture(height, width);
    const { shape, pixels } = await resized(image, { resize: { mode: 'longest', size, filter: 'area' } });
    const [h, w] = shape as [number, number];
    const worst = pixels.reduce((most, level, i) => {
      const [y, x] = [Math.floor(i / 3 / w), Math.floor(i / 3) % w];
      const rows: [number, number] = [(y * height) / h, Math.min(((y + 1) * height) / h, height)];
      const columns: [number, number] = [(x * width) / w, Math.min(((x + 1) * width) / w, width)];
      return Math.max(most, Math.abs(level - areaMean(image, rows, columns, i % 3)));
    }, 0);
    expect(worst).toBeLessThanOrEqual(0.51);
  });

  test('area enlarges as bilinear does', async () => {
    const image = picture(9, 13);
    const enlarged = (filter: 'area' | 'bilinear') =>
      resized(image, { resize: { mode: 'longest', size: 29, filter } });
    expect(await enlarged('area')).toEqual(await enlarged('bilinear'));
  });
});

describe('normalisation', () => {
  const mean = [100, 50, 25];
  const std = [10, 20, 40];

  test('(level - mean) / std, channel by channel', async () => {
    using pixels = tensor(Uint8Array.of(0, 50, 255, 110, 90, 25), [1, 2, 3], { dtype: 'uint8' });
    const { input } = await preprocess(pixels, { mean, std });
    expect(input.shape).toEqual([1, 3, 1, 2]);
    expect(Array.from(await input.data())).toEqual([-10, 1, 0, 2, 5.75, 0]);
  });

  test('padding is 0 after normalisation, at the right and bottom', async () => {
    using pixels = tensor(new Uint8Array(3 * 5 * 3), [3, 5, 3], { dtype: 'uint8' });
    const result = await preprocess(pixels, { multiple: { divisor: 4, how: 'pad' }, mean, std });
    expect(result.multiple.shape).toEqual([3, 5, 3]);
    expect(result.input.shape).toEqual([1, 3, 4, 8]);
    const red = Array.from(await result.input.data()).slice(0, 32);
    const inside = (i: number) => i < 24 && i % 8 < 5;
    expect(red).toEqual(red.map((_, i) => (inside(i) ? -10 : 0)));
  });

  test('stretching fills the multiple of 32 with the image', async () => {
    using pixels = asTensor(picture(33, 64));
    const result = await preprocess(pixels, { multiple: {} });
    expect(result.multiple.shape).toEqual([64, 64, 3]);
    expect(result.input.shape).toEqual([1, 3, 64, 64]);
  });

  test('a sliced image is read as it looks', async () => {
    const image = picture(6, 8);
    using whole = asTensor(image);
    using part = whole.slice(1, 2, 7);
    const { resized: copy } = await preprocess(part);
    const rows = Array.from({ length: 6 }, (_, y) => [
      ...image.pixels.subarray((y * 8 + 2) * 3, (y * 8 + 7) * 3),
    ]);
    expect(Array.from(await copy.data())).toEqual(rows.flat());
  });
});

describe('refusals', () => {
  const run = (options: unknown) => async () => {
    using pixels = asTensor(picture(2, 2));
    return preprocess(pixels, options as PreprocessOptions);
  };

  test.each([
    [{ resize: { mode: 'longest' } }, 'ERR_OPTION_MISSING'],
    [{ resize: { mode: 'longest', size: 0 } }, 'ERR_OPTION_VALUE'],
    [{ resize: { mode: 'keep-ratio', scale: [512] } }, 'ERR_OPTION_VALUE'],
    [{ resize: { mode: 'fill', size: 8 } }, 'ERR_OPTION_VALUE'],
    [{ resize: { mode: 'longest', size: 8, filter: 'lanczos' } }, 'ERR_OPTION_VALUE'],
    [{ multiple: { divisor: 0 } }, 'ERR_OPTION_VALUE'],
    [{ mean: [1, 2] }, 'ERR_OPTION_VALUE'],
    [{ std: [1, 0, 1] }, 'ERR_OPTION_VALUE'],
    [{ means: [1, 2, 3] }, 'ERR_OPTION_UNKNOWN'],
  ])('%p is %s', async (options, code) => {
    expect((await errorOf(run(options))).code).toBe(code);
  });

  test('another dtype, another layout, no pixels', async () => {
    using floats = zeros([2, 2, 3]);
    using grey = zeros([2, 2, 1], { dtype: 'uint8' });
    using empty = zeros([0, 2, 3], { dtype: 'uint8' });
    expect((await errorOf(() => preprocess(floats))).code).toBe('ERR_DTYPE');
    expect((await errorOf(() => preprocess(grey))).message).toBe(
      'expected [H, W, 3] with H and W from 1 for image, got [2, 2, 1]',
    );
    expect((await errorOf(() => preprocess(empty))).code).toBe('ERR_SHAPE');
  });
});
