import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { BoundaryOverlap, innerBoundary, trimap } from '../../lib/evaluation/boundary';
import { ConfusionMatrix } from '../../lib/evaluation/confusion';
import { evaluateSegmentation, type Segmenter } from '../../lib/evaluation/evaluate';
import { findPairs } from '../../lib/evaluation/pairs';
import { encodeLabelPng } from '../../lib/image/labels';

const names = ['a', 'b', 'c'];

/** Small random maps, always the same. */
function randomMap(width: number, height: number, seed: number, classes = 3): Uint8Array {
  let state = seed;
  const next = () => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
  const coarse = Array.from({ length: 64 }, () => Math.floor(next() * classes));
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return coarse[(Math.floor(y / 5) % 8) * 8 + (Math.floor(x / 6) % 8)]!;
  });
}

describe('confusion matrix', () => {
  test('counts, intersection over union, accuracy', () => {
    const matrix = new ConfusionMatrix(3);
    matrix.add(Uint8Array.from([0, 0, 1, 1, 255]), Uint8Array.from([0, 1, 1, 1, 0]));
    expect(Array.from(matrix.counts)).toEqual([1, 1, 0, 0, 2, 0, 0, 0, 0]);
    const scores = matrix.scores(names);
    expect(scores.iou).toEqual({ a: 0.5, b: 2 / 3, c: null });
    expect(scores.miou).toBeCloseTo((0.5 + 2 / 3) / 2, 12);
    expect(scores.pixelAccuracy).toBe(0.75);
    expect(scores.accuracy).toEqual({ a: 0.5, b: 1, c: null });
    expect(scores.meanAccuracy).toBe(0.75);
  });

  test('a mask restricts it', () => {
    const matrix = new ConfusionMatrix(2);
    matrix.add(Uint8Array.from([0, 1, 1]), Uint8Array.from([0, 0, 1]), Uint8Array.from([1, 0, 1]));
    expect(matrix.scores(['x', 'y']).pixelAccuracy).toBe(1);
    expect(matrix.total).toBe(2);
  });

  test('wrong lengths and labels are refused', () => {
    const matrix = new ConfusionMatrix(2);
    expect(() => matrix.add(new Uint8Array(3), new Uint8Array(4))).toThrow(
      'expected 3 labels for predicted, got 4',
    );
    expect(() => matrix.add(new Uint8Array(1), Uint8Array.from([2]))).toThrow(
      expect.objectContaining({ code: 'ERR_LABEL_VALUE' }),
    );
    expect(() => new ConfusionMatrix(0)).toThrow(expect.objectContaining({ code: 'ERR_RANGE' }));
    expect(new ConfusionMatrix(2).scores(['x', 'y'])).toEqual({
      iou: { x: null, y: null },
      miou: 0,
      accuracy: { x: null, y: null },
      meanAccuracy: 0,
      pixelAccuracy: 0,
    });
  });
});

describe('bands, against their definitions', () => {
  const [width, height] = [31, 23];
  test.each([1, 2, 3, 5])('trimap of %i pixels', (distance) => {
    const labels = randomMap(width, height, 7);
    const at = (x: number, y: number) => labels[y * width + x];
    const boundary = (x: number, y: number) =>
      [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ].some(([dx, dy]) => {
        const [nx, ny] = [x + dx!, y + dy!];
        return nx >= 0 && ny >= 0 && nx < width && ny < height && at(nx, ny) !== at(x, y);
      });
    const wanted = Array.from(labels, (_, i) => {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const away = Math.max(Math.abs(x - (i % width)), Math.abs(y - Math.floor(i / width)));
          if (away < distance && boundary(x, y)) return 1;
        }
      }
      return 0;
    });
    expect(Array.from(trimap(labels, width, height, distance))).toEqual(wanted);
  });

  test.each([1, 2, 3])('inner boundary by %i erosions with the cross', (distance) => {
    const labels = randomMap(width, height, 3);
    const wanted = new Uint8Array(labels.length);
    for (let index = 0; index < 3; index++) {
      let mask = Array.from(labels, (label) => label === index);
      for (let step = 0; step < distance; step++) {
        const before = mask;
        mask = before.map((set, i) => {
          const [x, y] = [i % width, Math.floor(i / width)];
          const kept = (dx: number, dy: number) => {
            const [nx, ny] = [x + dx, y + dy];
            return nx < 0 || ny < 0 || nx >= width || ny >= height || before[ny * width + nx]!;
          };
          return set && kept(-1, 0) && kept(1, 0) && kept(0, -1) && kept(0, 1);
        });
      }
      labels.forEach((label, i) => {
        if (label === index && !mask[i]) wanted[i] = 1;
      });
    }
    expect(Array.from(innerBoundary(labels, width, height, distance))).toEqual(Array.from(wanted));
  });

  test('Boundary IoU is 1 for equal maps and falls with a shift', () => {
    const labels = randomMap(width, height, 5);
    const same = new BoundaryOverlap(3, 2);
    same.add(labels, labels, width, height);
    expect(same.scores(names).miou).toBe(1);
    const shifted = Uint8Array.from(labels, (_, i) => labels[Math.max(0, i - 2)]!);
    const other = new BoundaryOverlap(3, 2);
    other.add(labels, shifted, width, height);
    expect(other.scores(names).miou).toBeLessThan(0.8);
    expect(other.scores(names).miou).toBeGreaterThan(0.1);
  });
});

describe('evaluation', () => {
  const [width, height] = [24, 16];
  const predicted = [randomMap(width, height, 1), randomMap(width, height, 2)];
  const model = (): Segmenter => {
    let next = 0;
    return { classes: names, segment: async () => ({ width, height, labels: predicted[next++ % 2]! }) };
  };
  const pairs = (truths: (Uint8Array | Int32Array)[]) =>
    truths.map((labels, i) => ({ image: `${i}.png`, label: { width, height, labels } }));

  test('scores over all images, with progress', async () => {
    const seen: string[] = [];
    const truths = [predicted[0]!, Uint8Array.from(predicted[1]!, (label) => (label === 0 ? 255 : label))];
    const report = await evaluateSegmentation(model(), pairs(truths), {
      onProgress: ({ done, total, image }) => seen.push(`${done}/${total} ${image}`),
    });
    expect(seen).toEqual(['1/2 0.png', '2/2 1.png']);
    expect(report).toMatchObject({ images: 2, miou: 1, pixelAccuracy: 1, iou: { a: 1, b: 1, c: 1 } });
    expect(report.perImage).toEqual([
      { image: '0.png', pixelAccuracy: 1 },
      { image: '1.png', pixelAccuracy: 1 },
    ]);
    expect(report.trimap?.miou).toBe(1);
    expect(report.pixels).toBeLessThan(2 * width * height);
    expect(report.confusion.flat().reduce((a, b) => a + b)).toBe(report.pixels);
  });

  test('reduceZeroLabel and ignoreIndex', async () => {
    const moved = [Uint8Array.from(predicted[0]!, (label) => label + 1)];
    expect((await evaluateSegmentation(model(), pairs(moved), { reduceZeroLabel: true })).miou).toBe(1);
    const ignored = await evaluateSegmentation(model(), pairs([predicted[0]!]), {
      ignoreIndex: 1,
      boundary: 0,
    });
    expect(ignored.iou.b).toBeNull();
    expect(ignored.boundary).toBeUndefined();
  });

  test('sizes must agree; a signal stops it', async () => {
    const label = { width: 8, height: 8, labels: new Uint8Array(64) };
    await expect(evaluateSegmentation(model(), [{ image: 'x.png', label }])).rejects.toMatchObject({
      code: 'ERR_IMAGE_SIZE',
    });
    const signal = AbortSignal.abort();
    await expect(evaluateSegmentation(model(), pairs([predicted[0]!]), { signal })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
    await expect(evaluateSegmentation(model(), [], { boundary: -1 })).rejects.toMatchObject({
      code: 'ERR_RANGE',
    });
  });

  test('folders are paired by name, and label files read as indices', async () => {
    const root = await mkdtemp(join(tmpdir(), 'freqfusion-pairs-'));
    try {
      const [images, labels] = [join(root, 'images'), join(root, 'labels')];
      await mkdir(images);
      await mkdir(labels);
      const picture = await sharp({ create: { width, height, channels: 3, background: '#888' } })
        .jpeg()
        .toBuffer();
      const truth = await encodeLabelPng({ width, height, labels: predicted[0]! });
      await writeFile(join(images, 'b.jpg'), picture);
      await writeFile(join(images, 'a.jpg'), picture);
      await writeFile(join(images, 'b_label.png'), truth);
      await expect(findPairs(images)).rejects.toMatchObject({ code: 'ERR_IMAGE_MISSING' });
      await writeFile(join(images, 'a_label.png'), truth);
      const same = await findPairs(images);
      expect(same.map(({ label }) => label)).toEqual([
        join(images, 'a_label.png'),
        join(images, 'b_label.png'),
      ]);

      for (const name of ['a.png', 'b.png', 'a_label.png', 'b_label.png'])
        await writeFile(join(labels, name), truth);
      await rm(join(images, 'a_label.png'));
      await rm(join(images, 'b_label.png'));
      expect((await findPairs(images, labels, { suffix: '' })).map(({ label }) => label)).toEqual([
        join(labels, 'a.png'),
        join(labels, 'b.png'),
      ]);
      const one: Segmenter = {
        classes: names,
        segment: async () => ({ width, height, labels: predicted[0]! }),
      };
      expect((await evaluateSegmentation(one, await findPairs(images, labels))).miou).toBe(1);
      await expect(findPairs(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ERR_IMAGE_MISSING' });
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
