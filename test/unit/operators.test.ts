import {
  carafe,
  carafeBackward,
  type DType,
  FreqFusionError,
  hammingWindow,
  highPass,
  kernelNormalizer,
  kernelNormalizerBackward,
  localSimilarity,
  localSimilarityBackward,
  memoryStats,
  offsetSampler,
  offsetSamplerBackward,
  scope,
  type Tensor,
  tensor,
} from '../../lib';
import { collectGarbage } from '../collect-garbage';

beforeAll(collectGarbage);

/** Deterministic values in [-1, 1). */
function values(count: number, seed: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function random(shape: number[], seed: number): Tensor<'float64'> {
  return tensor(
    values(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    shape,
  );
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof FreqFusionError) return error.code;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/**
 * Compares an analytic gradient with central differences of sum(output * weights) in float64, at 24 elements.
 */
async function checkGradient(
  input: Tensor<'float64'>,
  forward: (x: Tensor<'float64'>) => Promise<Tensor<'float64'>>,
  backward: (gradOutput: Tensor<'float64'>) => Promise<Tensor<'float64'>>,
): Promise<void> {
  const output = await forward(input);
  const weights = random([...output.shape], 99);
  const analytic = Array.from((await backward(weights)).dataSync());
  const w = Array.from(weights.dataSync());
  const base = input.dataSync();
  const step = 1e-6;
  const loss = async (index: number, delta: number) => {
    const moved = base.slice();
    moved[index]! += delta;
    const y = await forward(tensor(moved, [...input.shape]));
    return y.dataSync().reduce((sum, value, i) => sum + value * w[i]!, 0);
  };
  const stride = Math.max(1, Math.floor(base.length / 24));
  for (let i = 0; i < base.length; i += stride) {
    const numeric = ((await loss(i, step)) - (await loss(i, -step))) / (2 * step);
    expect(Math.abs(numeric - analytic[i]!)).toBeLessThan(1e-6 * Math.max(1, Math.abs(numeric)));
  }
}

describe('gradients agree with central differences in float64', () => {
  test.each([
    { kernelSize: 3, scale: 1, groups: 2, border: 'zeros' },
    { kernelSize: 5, scale: 2, groups: 1, border: 'zeros' },
    { kernelSize: 5, scale: 2, groups: 2, border: 'reflect' },
    { kernelSize: 3, scale: 3, groups: 1, border: 'reflect' },
    { kernelSize: 7, scale: 4, groups: 1, border: 'zeros' },
  ] as const)('carafe %j', (options) =>
    scope(async () => {
      const { kernelSize: k, scale: s, groups: g } = options;
      const features = random([2, 4, 5, 4], 1);
      const masks = random([2, g * k * k, 5 * s, 4 * s], 2);
      await checkGradient(
        features,
        (x) => carafe(x, masks, options),
        async (grad) => (await carafeBackward(grad, features, masks, options)).gradFeatures,
      );
      await checkGradient(
        masks,
        (x) => carafe(features, x, options),
        async (grad) => (await carafeBackward(grad, features, masks, options)).gradMasks,
      );
    }),
  );

  test.each([{ residual: true }, { residual: false, groups: 2, border: 'reflect' }] as const)(
    'highPass %j is the map less its carafe of scale 1',
    (options) =>
      scope(async () => {
        const groups = 'groups' in options ? options.groups : 1;
        const x = random([2, 4, 5, 6], 1);
        const masks = random([2, groups * 9, 5, 6], 2);
        const got = (await highPass(x, masks, options)).dataSync();
        const low = (await carafe(x, masks, { kernelSize: 3, scale: 1, ...options })).dataSync();
        x.dataSync().forEach((value, i) => {
          expect(got[i]).toBeCloseTo((options.residual ? 2 : 1) * value - low[i]!, 12);
        });
      }),
  );

  test.each([
    { kernelSize: 3, hamming: true, groups: 2 },
    { kernelSize: 5, hamming: false, groups: 1 },
  ])('kernelNormalizer %j', (options) =>
    scope(async () => {
      const logits = random([1, options.groups * options.kernelSize ** 2, 3, 5], 3);
      const output = await kernelNormalizer(logits, options);
      await checkGradient(
        logits,
        (x) => kernelNormalizer(x, options),
        (grad) => kernelNormalizerBackward(grad, output, options),
      );
    }),
  );

  test.each([
    { kernelSize: 3, dilation: 2, similarity: 'cosine' },
    { kernelSize: 5, dilation: 1, similarity: 'dot' },
  ] as const)('localSimilarity %j', (options) =>
    scope(async () => {
      const x = random([2, 5, 6, 4], 4);
      await checkGradient(
        x,
        (y) => localSimilarity(y, options),
        (grad) => localSimilarityBackward(grad, x, options),
      );
    }),
  );

  test('offsetSampler', () =>
    scope(async () => {
      const x = random([2, 4, 8, 6], 5);
      const offset = random([2, 16, 4, 3], 6);
      await checkGradient(
        x,
        (y) => offsetSampler(y, offset, { groups: 2 }),
        async (grad) => (await offsetSamplerBackward(grad, x, offset, { groups: 2 })).gradX,
      );
      await checkGradient(
        offset,
        (y) => offsetSampler(x, y, { groups: 2 }),
        async (grad) => (await offsetSamplerBackward(grad, x, offset, { groups: 2 })).gradOffset,
      );
    }));
});

/** The window sum written out, straight from the formula. */
function slowCarafe(
  x: Float64Array,
  m: Float64Array,
  [n, c, h, w]: number[],
  k: number,
  s: number,
  g: number,
) {
  const out = new Float64Array(n! * c! * h! * s * w! * s);
  const r = (k - 1) / 2;
  let at = 0;
  for (let b = 0; b < n!; ++b)
    for (let ch = 0; ch < c!; ++ch)
      for (let py = 0; py < h! * s; ++py)
        for (let px = 0; px < w! * s; ++px, ++at)
          for (let t = 0; t < k * k; ++t) {
            const y = Math.floor(py / s) + Math.floor(t / k) - r;
            const xx = Math.floor(px / s) + (t % k) - r;
            if (y < 0 || y >= h! || xx < 0 || xx >= w!) continue;
            const q = Math.floor(ch / (c! / g));
            const mask = m[((b * g * k * k + q * k * k + t) * h! * s + py) * w! * s + px]!;
            out[at]! += x[((b * c! + ch) * h! + y) * w! + xx]! * mask;
          }
  return out;
}

describe('layouts and dtypes', () => {
  const shape = [2, 6, 7, 5];
  const options = { kernelSize: 3, scale: 2, groups: 2 };
  const x = values(2 * 6 * 7 * 5, 7);
  const m = values(2 * 18 * 14 * 10, 8);
  const want = slowCarafe(x, m, shape, 3, 2, 2);

  test.each([
    ['float64', 1e-12],
    ['float32', 1e-5],
    ['float16', 1e-2],
    ['bfloat16', 8e-2],
  ] as const)(
    'carafe in %s gives the same numbers contiguous, channels-last and sliced',
    (dtype: DType, tolerance) =>
      scope(async () => {
        const features = tensor(x, shape).to(dtype);
        const masks = tensor(m, [2, 18, 14, 10]).to(dtype);
        const wide = tensor(
          Float64Array.from({ length: x.length * 2 }, (_, i) => x[i >> 1]!),
          [2, 6, 7, 10],
        ).to(dtype);
        const inputs = [features, features.contiguous('channels-last'), wide.slice(3, 0, 10, 2)];
        for (const each of inputs) {
          for (const mask of [masks, masks.contiguous('channels-last')]) {
            const got = (await carafe(each, mask, options)).to('float64').dataSync();
            const worst = got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i]!)), 0);
            expect(worst).toBeLessThan(tolerance);
          }
        }
      }),
  );

  test('the Hamming window is the outer product of the two sides', async () => {
    using window = await hammingWindow(3);
    expect(window.shape).toEqual([1, 1, 3, 3]);
    const side = [0.08, 1, 0.08];
    Array.from(window.dataSync()).forEach((value, i) => {
      expect(value).toBeCloseTo(side[Math.floor(i / 3)]! * side[i % 3]!, 6);
    });
  });
});

describe('bad arguments', () => {
  test('are refused with a code before anything runs', () =>
    scope(async () => {
      const x = random([1, 4, 4, 4], 1);
      const masks = random([1, 25, 8, 8], 2);
      expect(await codeOf(carafe(x, random([1, 24, 8, 8], 2)))).toBe('ERR_SHAPE');
      expect(await codeOf(carafe(x, random([1, 25, 8, 9], 2)))).toBe('ERR_SHAPE');
      expect(await codeOf(carafe(x, masks, { kernelSize: 4 }))).toBe('ERR_RANGE');
      expect(await codeOf(carafe(x, masks, { kernelSize: 33 }))).toBe('ERR_RANGE');
      expect(await codeOf(carafe(x, masks, { scale: 5 }))).toBe('ERR_RANGE');
      expect(await codeOf(carafe(x, masks, { groups: 3 }))).toBe('ERR_SHAPE');
      expect(await codeOf(carafe(x, masks, { border: 'mirror' as never }))).toBe('ERR_OPTION_VALUE');
      expect(await codeOf(carafe(x, masks.to('float32') as never))).toBe('ERR_DTYPE');
      expect(await codeOf(carafe(x.to('int64') as never, masks.to('int64') as never))).toBe('ERR_DTYPE');
      expect(await codeOf(carafe(x.reshape([4, 4, 4]), masks))).toBe('ERR_SHAPE');
      expect(await codeOf(carafe({} as never, masks))).toBe('ERR_TYPE');
      expect(
        await codeOf(carafe(random([1, 4, 2, 2], 1), random([1, 25, 4, 4], 2), { border: 'reflect' })),
      ).toBe('ERR_SHAPE');
      expect(await codeOf(highPass(x, masks))).toBe('ERR_SHAPE');
      expect(await codeOf(highPass(x, random([1, 9, 4, 4], 2), { residual: 1 as never }))).toBe('ERR_TYPE');
      expect(await codeOf(kernelNormalizer(x, { kernelSize: 3 }))).toBe('ERR_SHAPE');
      expect(await codeOf(localSimilarity(x, { dilation: 0 }))).toBe('ERR_RANGE');
      expect(await codeOf(offsetSampler(x, random([1, 32, 2, 3], 2)))).toBe('ERR_SHAPE');
      expect(await codeOf(offsetSampler(x, random([1, 24, 2, 2], 2), { groups: 3 }))).toBe('ERR_SHAPE');
    }));
});

describe('cancelling', () => {
  test('a queued job ends with ERR_ABORTED and leaves nothing behind', async () => {
    const before = memoryStats().liveTensors;
    await scope(async () => {
      const x = random([1, 64, 128, 128], 1).to('float32');
      const masks = random([1, 25, 256, 256], 2).to('float32');
      const controller = new AbortController();
      const first = carafe(x, masks);
      const second = carafe(x, masks, { signal: controller.signal });
      controller.abort(new Error('planned'));
      expect(await codeOf(second)).toBe('ERR_ABORTED');
      expect((await first).shape).toEqual([1, 64, 256, 256]);
      expect(await codeOf(carafe(x, masks, { signal: AbortSignal.abort() }))).toBe('ERR_ABORTED');
      expect(await codeOf(carafe(x, masks, { signal: {} as never }))).toBe('ERR_TYPE');
    });
    expect(memoryStats().liveTensors).toBeLessThanOrEqual(before);
    expect(memoryStats().pendingJobs).toBe(0);
  });
});
