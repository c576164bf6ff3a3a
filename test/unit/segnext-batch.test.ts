import { memoryStats, scope, type Tensor, tensor } from '../../lib';
import { SegNeXt, type SegNeXtOptions, type SegNeXtSegmentOptions } from '../../lib/modules/segnext';
import { collectGarbage } from '../collect-garbage';
import { distance, errorOf } from './synthetic';

beforeAll(collectGarbage);

const OPTIONS: SegNeXtOptions = {
  backbone: { embedDims: [8, 8, 16, 24], depths: [1, 1, 1, 1] },
  head: {
    inChannels: [8, 16, 24],
    channels: 16,
    hamKwargs: { mdR: 4 },
    normGroups: 4,
    numClasses: 5,
    compressRatio: 2,
    featureResampleNorm: false,
  },
};
const [HEIGHT, WIDTH] = [75, 90];
const PAD = {
  resize: { mode: 'longest', size: 96, filter: 'area' },
  multiple: { divisor: 32, how: 'pad' },
} as const;
const OUTPUTS = { labels: true, probabilities: true, scores: true } as const;

/** Pictures of soft blobs, each of its own, as one batch [3, H, W, 3]. */
function photos(): Tensor<'uint8'> {
  const pixels = Uint8Array.from({ length: 3 * HEIGHT * WIDTH * 3 }, (_, i) => {
    const image = Math.floor(i / (HEIGHT * WIDTH * 3));
    const [y, x] = [Math.floor(i / 3 / WIDTH) % HEIGHT, Math.floor(i / 3) % WIDTH];
    return 127 + 60 * Math.sin(y / (7 + 4 * image) + (i % 3)) + 60 * Math.cos(x / 13 - image - (i % 3));
  });
  return tensor(pixels, [3, HEIGHT, WIDTH, 3], { dtype: 'uint8' });
}

const one = <T extends Tensor>(batch: T, index: number): T =>
  batch.slice(0, index, index + 1).reshape(batch.shape.slice(1)) as T;

const started = () => new SegNeXt(OPTIONS).initialize(1);

describe('a batch of images', () => {
  test.each([
    ['whole', {}, { ...OUTPUTS, logits: true }],
    ['at two scales and mirrored', { ratios: [0.75, 1], flip: true }, OUTPUTS],
    ['in windows', { mode: 'slide', crop: [64, 64], stride: [32, 40] }, OUTPUTS],
    ['in windows, mirrored', { mode: 'slide', crop: [64, 64], stride: [64, 64], flip: true }, OUTPUTS],
  ] as const)('%s has the results of its images one by one', async (_, inference, outputs) => {
    using model = await started();
    const options: SegNeXtSegmentOptions = { preprocess: PAD, inference, outputs };
    const batch = photos();
    const together = await model.segment(batch, options);
    expect(together.labels!.shape).toEqual([3, HEIGHT, WIDTH]);
    expect(together.probabilities!.shape).toEqual([3, 5, HEIGHT, WIDTH]);
    for (let i = 0; i < 3; i += 1) {
      const alone = await model.segment(one(batch, i), options);
      expect(Object.keys(together)).toEqual(Object.keys(alone));
      for (const name of ['logits', 'probabilities', 'scores'] as const) {
        if (alone[name]) expect(distance(one(together[name]!, i), alone[name])).toBeLessThan(1e-5);
      }
      expect(worstTie(one(together.labels!, i), alone.labels!, alone.probabilities!)).toBeLessThan(1e-5);
    }
    const [first, second] = [one(together.probabilities!, 0), one(together.probabilities!, 1)];
    expect(distance(first, second)).toBeGreaterThan(1e-3);
  });

  test('labels alone, which skip what is settled, are those of images one by one', async () => {
    using model = await started();
    const batch = photos();
    const { labels } = await model.segment(batch, { preprocess: PAD });
    for (let i = 0; i < 3; i += 1) {
      const options = { preprocess: PAD, outputs: { probabilities: true } };
      const alone = await model.segment(one(batch, i), options);
      expect(worstTie(one(labels!, i), alone.labels!, alone.probabilities!)).toBeLessThan(1e-5);
    }
  });

  test('bases for one image serve all of them, and each may have its own', async () => {
    using model = await started();
    const batch = photos();
    const values = Float32Array.from({ length: 3 * 64 }, (_, i) => ((i * 37) % 101) + 1);
    const own = tensor(values, [3, 16, 4]);
    const bases = own.slice(0, 0, 1);
    const options = { preprocess: PAD, outputs: { logits: true } };
    const shared = await model.segment(batch, { ...options, nmfBases: bases });
    const apart = await model.segment(batch, { ...options, nmfBases: own });
    const [image, last] = [one(batch, 2), own.slice(0, 2, 3)];
    const sharedAlone = await model.segment(image, { ...options, nmfBases: bases });
    const apartAlone = await model.segment(image, { ...options, nmfBases: last });
    expect(distance(one(shared.logits!, 2), sharedAlone.logits!)).toBeLessThan(1e-5);
    expect(distance(one(apart.logits!, 2), apartAlone.logits!)).toBeLessThan(1e-5);
    expect(distance(apartAlone.logits!, sharedAlone.logits!)).toBeGreaterThan(1e-3);
  });

  test('of one image keeps its leading dimension, and gives all tensors back', async () => {
    using model = await started();
    const before = memoryStats().liveTensors;
    await scope(async () => {
      const { labels, scores } = await model.segment(photos().slice(0, 0, 1), { outputs: { scores: true } });
      expect([labels!.shape, scores!.shape]).toEqual([
        [1, HEIGHT, WIDTH],
        [1, HEIGHT, WIDTH],
      ]);
    });
    expect(memoryStats().liveTensors).toBeLessThanOrEqual(before);
  });

  test('without an image, or of another rank, is refused', async () => {
    using model = await started();
    const of = (shape: number[]) =>
      tensor(new Uint8Array(shape.reduce((product, side) => product * side, 1)), shape, { dtype: 'uint8' });
    for (const shape of [
      [0, 8, 8, 3],
      [1, 8, 8, 4],
      [1, 1, 8, 8, 3],
      [8, 8],
    ]) {
      expect((await errorOf(() => model.segment(of(shape)))).code).toBe('ERR_SHAPE');
    }
  });
});

/** Over the pixels where labels differ, the largest lead that the right label has over the one that was given. */
function worstTie(given: Tensor, right: Tensor, probabilities: Tensor): number {
  expect(given.shape).toEqual(right.shape);
  const [labels, wanted] = [given.dataSync() as Uint8Array, right.dataSync() as Uint8Array];
  const values = probabilities.dataSync() as Float32Array;
  const at = (label: number, pixel: number) => values[label * labels.length + pixel]!;
  let worst = 0;
  for (const [pixel, label] of labels.entries()) {
    if (label !== wanted[pixel]) worst = Math.max(worst, at(wanted[pixel]!, pixel) - at(label, pixel));
  }
  return worst;
}
