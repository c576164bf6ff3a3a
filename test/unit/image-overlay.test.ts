import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { Canvas, textWidth, writePicture } from '../../lib/image/canvas';
import { formatShare } from '../../lib/image/legend';
import { type OverlaySubject, renderOverlay } from '../../lib/image/overlay';
import type { DecodedImage } from '../../lib/image/types';

const [W, H] = [60, 80];
const classes = ['background', 'left', 'right'];
const palette = [
  [255, 255, 255],
  [255, 0, 0],
  [0, 0, 255],
] as const;
// Background above row 20, below it "left" and "right" side by side.
const labels = Uint8Array.from({ length: W * H }, (_, i) => (i < W * 20 ? 0 : i % W < W / 2 ? 1 : 2));
const subject: OverlaySubject = {
  width: W,
  height: H,
  labels,
  classes,
  palette,
  shares: [0.25, 0.375, 0.375],
};
const image: DecodedImage = {
  data: new Uint8Array(W * H * 3).fill(100),
  width: W,
  height: H,
  channels: 3,
  format: 'raw',
};
const at = (picture: { data: Uint8Array; width: number }, x: number, y: number) =>
  Array.from(picture.data.subarray((y * picture.width + x) * 3, (y * picture.width + x) * 3 + 3));

describe('painting', () => {
  test('classes are mixed in, contours are solid, the background stays', async () => {
    const out = await renderOverlay(image, subject, { legend: 'none' });
    expect([out.width, out.height]).toEqual([W, H]);
    expect(at(out, 5, 5)).toEqual([100, 100, 100]);
    expect(at(out, 5, 19)).toEqual([100, 100, 100]);
    expect(at(out, 10, 50)).toEqual([178, 50, 50]);
    expect(at(out, 50, 50)).toEqual([50, 50, 178]);
    expect(at(out, 29, 50)).toEqual([255, 0, 0]);
    expect(at(out, 30, 50)).toEqual([0, 0, 255]);
    expect(at(out, 10, 20)).toEqual([255, 0, 0]);
    expect(at(out, 28, 50)).toEqual([178, 50, 50]);
  });

  test('opacity, contour width and skipped classes are options', async () => {
    const bare = await renderOverlay(image, subject, { legend: 'none', opacity: 0, contours: 0 });
    expect(Buffer.compare(bare.data, image.data)).toBe(0);
    const full = await renderOverlay(image, subject, { legend: 'none', opacity: 1, contours: 0, skip: [] });
    expect(at(full, 5, 5)).toEqual([255, 255, 255]);
    const wide = await renderOverlay(image, subject, { legend: 'none', contours: 3, skip: ['left', 0] });
    expect(at(wide, 29, 50)).toEqual([100, 100, 100]);
    expect([at(wide, 32, 50), at(wide, 33, 50)]).toEqual([
      [0, 0, 255],
      [50, 50, 178],
    ]);
  });

  test.each([
    [0, 0.5],
    [1, 0.5],
    [3, 0.25],
    [64, 1],
  ])('every pixel follows the rule, contours of %i pixels and opacity %f', async (contours, opacity) => {
    let state = 5;
    const random = (below: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 16) % below;
    };
    const [width, height] = [37, 29];
    const blocks = Array.from({ length: 100 }, () => random(3));
    const noisy = Uint8Array.from({ length: width * height }, (_, i) => {
      const [x, y] = [i % width, Math.floor(i / width)];
      return random(40) === 0 ? random(3) : blocks[10 * (y >> 2) + (x >> 2)]!;
    });
    const data = Uint8Array.from({ length: 3 * width * height }, () => random(256));
    const near = (x: number, y: number) => {
      const label = noisy[y * width + x];
      for (let step = 1; step <= contours; step++) {
        const around = [
          [x - step, y],
          [x + step, y],
          [x, y - step],
          [x, y + step],
        ] as const;
        for (const [a, b] of around) {
          if (a >= 0 && b >= 0 && a < width && b < height && noisy[b * width + a] !== label) return true;
        }
      }
      return false;
    };
    const wanted = data.map((value, i) => {
      const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
      const label = noisy[y * width + x]!;
      if (label === 0) return value;
      const share = near(x, y) ? 1 : opacity;
      return Math.round(value * (1 - share) + palette[label]![i % 3]! * share);
    });
    const shown = { ...subject, width, height, labels: noisy };
    const picture: DecodedImage = { ...image, data, width, height };
    const out = await renderOverlay(picture, shown, { contours, opacity, legend: 'none' });
    expect(Buffer.compare(out.data, wanted)).toBe(0);
  });

  test('the image is not changed', async () => {
    await renderOverlay(image, subject);
    expect(image.data.every((value) => value === 100)).toBe(true);
  });

  test('wrong options and sizes are refused', async () => {
    for (const [options, code] of [
      [{ opacity: 1.1 }, 'ERR_RANGE'],
      [{ opacity: Number.NaN }, 'ERR_RANGE'],
      [{ contours: -1 }, 'ERR_RANGE'],
      [{ legend: 'top' as never }, 'ERR_OPTION_VALUE'],
      [{ skip: ['nothing'] }, 'ERR_OPTION_VALUE'],
      [{ skip: [3] }, 'ERR_OPTION_VALUE'],
      [{ signal: AbortSignal.abort() }, 'ERR_ABORTED'],
    ] as const) {
      await expect(renderOverlay(image, subject, options)).rejects.toMatchObject({ code });
    }
    const small = { ...image, width: W / 2, data: image.data.subarray(0, (W / 2) * H * 3) };
    await expect(renderOverlay(small, subject)).rejects.toMatchObject({
      code: 'ERR_IMAGE_SIZE',
      expected: '60 x 80 pixels',
      actual: '30 x 80 pixels',
    });
  });
});

describe('legend', () => {
  test.each(['right', 'bottom'] as const)('a very long name does not blow it up: %s', async (legend) => {
    const name = 'm'.repeat(1_000_000);
    const long = { ...subject, classes: [name, 'left', 'right'] };
    const { width, height } = await renderOverlay(image, long, { legend, captions: [name] });
    expect(width).toBeLessThan(3000);
    expect(height).toBeLessThan(500);
  });

  test('stands beside upright images and below wide ones, outside the picture', async () => {
    const bare = await renderOverlay(image, subject, { legend: 'none' });
    const right = await renderOverlay(image, subject);
    expect(right.width).toBeGreaterThan(W);
    for (let y = 0; y < H; y++) expect(at(right, 7, y)).toEqual(at(bare, 7, y));
    const bottom = await renderOverlay(image, subject, { legend: 'bottom' });
    expect(bottom.height).toBeGreaterThan(H);
    for (let y = 0; y < H; y++) expect(at(bottom, 7, y)).toEqual(at(bare, 7, y));
    const wideLabels = { ...subject, width: H, height: W };
    const wide = await renderOverlay({ ...image, width: H, height: W }, wideLabels);
    expect(wide.height).toBeGreaterThan(W);
  });

  test('shows a swatch of every class that the image has, the largest first', async () => {
    const absent = {
      ...subject,
      classes: [...classes, 'absent'],
      palette: [...palette, [0, 255, 0] as const],
    };
    const out = await renderOverlay(image, { ...absent, shares: [0.1, 0.3, 0.6, 0] }, { legend: 'right' });
    const firstRow = (color: readonly number[]) => {
      for (let y = 0; y < out.height; y++) {
        for (let x = W; x < out.width; x++) if (String(at(out, x, y)) === String(color)) return y;
      }
      return -1;
    };
    expect(firstRow([0, 0, 255])).toBeGreaterThan(0);
    expect(firstRow([255, 0, 0])).toBeGreaterThan(firstRow([0, 0, 255]));
    expect(firstRow([255, 255, 255])).toBeGreaterThan(firstRow([255, 0, 0]));
    expect(firstRow([0, 255, 0])).toBe(-1);
  });

  test('sums up the classes that have no room', async () => {
    const many = Array.from({ length: 150 }, (_, i) => `class ${i}`);
    const out = await renderOverlay(image, {
      ...subject,
      classes: many,
      palette: many.map(() => [1, 2, 3] as const),
      shares: many.map(() => 1 / 150),
    });
    expect(out.height).toBeLessThan(200);
  });

  test('captions widen the panel', async () => {
    const plain = await renderOverlay(image, subject);
    const long = await renderOverlay(image, subject, {
      captions: ['a caption that is longer than any of the names'],
    });
    expect(long.width).toBeGreaterThan(plain.width);
  });

  test('shares are worded', () => {
    expect([1, 0.3725, 0.0004, 0].map(formatShare)).toEqual(['100.0 %', '37.3 %', '<0.1 %', '0.0 %']);
  });
});

describe('text', () => {
  const draw = (text: string) => {
    const canvas = new Canvas(120, 30, [255, 255, 255]);
    canvas.text(text, 4, 8, 12, [0, 0, 0]);
    return canvas;
  };
  const ink = (canvas: Canvas) => canvas.data.reduce((sum, value) => sum + (255 - value), 0);

  test('every printable ASCII letter has a shape of its own', () => {
    const shapes = new Set<string>();
    for (let code = 0x21; code < 0x7f; code++) {
      const canvas = draw(String.fromCharCode(code));
      expect(ink(canvas)).toBeGreaterThan(0);
      shapes.add(Buffer.from(canvas.data).toString('base64'));
    }
    expect(shapes.size).toBe(0x7f - 0x21);
    expect(shapes.has(Buffer.from(draw('\u4e2d').data).toString('base64'))).toBe(false);
  });

  test('accents fall away, blanks stay blank, the width is the drawn one', () => {
    expect(Buffer.compare(draw('é').data, draw('e').data)).toBe(0);
    expect(ink(draw(' '))).toBe(0);
    const canvas = draw('table 12.5 %');
    let last = 0;
    for (let x = 0; x < 120; x++) for (let y = 0; y < 30; y++) if (at(canvas, x, y)[0]! < 128) last = x;
    expect(Math.abs(last - 4 - textWidth('table 12.5 %', 12))).toBeLessThan(2);
  });

  test('drawing over the edge is harmless', () => {
    const canvas = new Canvas(8, 8, [255, 255, 255]);
    canvas.text('Wide', -5, -5, 20, [0, 0, 0]);
    canvas.rectangle(-4, -4, 30, 30, 2, [9, 9, 9]);
    expect(at(canvas, 4, 4)).toEqual([9, 9, 9]);
  });
});

describe('writing', () => {
  const picture = { data: new Uint8Array(image.data), width: W, height: H };
  test('the extension names the format; without a file it is a PNG', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'freqfusion-overlay-'));
    try {
      expect((await sharp(await writePicture(picture)).metadata()).format).toBe('png');
      for (const [name, format] of [
        ['a.png', 'png'],
        ['a.JPG', 'jpeg'],
        ['a.webp', 'webp'],
        ['a.tiff', 'tiff'],
        ['a.gif', 'gif'],
        ['a.avif', 'heif'],
      ] as const) {
        await writePicture(picture, join(folder, name));
        expect(await sharp(join(folder, name)).metadata()).toMatchObject({ format, width: W, height: H });
      }
      await expect(writePicture(picture, join(folder, 'a.bmp'))).rejects.toMatchObject({
        code: 'ERR_IMAGE_FORMAT',
      });
      await expect(writePicture(picture, join(folder, 'none', 'a.png'))).rejects.toMatchObject({
        code: 'ERR_IMAGE_WRITE',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test('a timer ticks while a large overlay is painted', async () => {
  const [width, height] = [3000, 2000];
  const large: DecodedImage = {
    data: new Uint8Array(width * height * 3),
    width,
    height,
    channels: 3,
    format: 'raw',
  };
  const map = { ...subject, width, height, labels: new Uint8Array(width * height).fill(1) };
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await renderOverlay(large, map, { legend: 'none' });
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(5);
});
