import { type Tensor, tensor } from '../../lib';
import { Hamburger, type HamKwargs } from '../../lib/modules/hamburger';
import { distance, errorOf, fill, map } from './synthetic';

type Matrix = number[][];

const multiply = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
const transpose = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));

/** One multiplicative step, written as in the paper. */
function step(factor: Matrix, numerator: Matrix, gram: Matrix): Matrix {
  const denominator = multiply(factor, gram);
  return factor.map((row, i) =>
    row.map((value, j) => (value * numerator[i]![j]!) / (denominator[i]![j]! + 1e-6)),
  );
}

/** The factorisation of X [D][N] from normalised bases [D][R], in double precision and plain loops. */
function factorise(x: Matrix, bases: Matrix, steps: number): Matrix {
  let f = bases;
  let a = multiply(transpose(x), f).map((row) => {
    const exps = row.map(Math.exp);
    const sum = exps.reduce((total, value) => total + value, 0);
    return exps.map((value) => value / sum);
  });
  for (let i = 0; i < steps; i += 1) {
    a = step(a, multiply(transpose(x), f), multiply(transpose(f), f));
    f = step(f, multiply(x, a), multiply(transpose(a), a));
  }
  a = step(a, multiply(transpose(x), f), multiply(transpose(f), f));
  return multiply(f, transpose(a));
}

function normalised(bases: Matrix): Matrix {
  const norms = transpose(bases).map((column) => Math.hypot(...column));
  return bases.map((row) => row.map((value, j) => value / norms[j]!));
}

/** The documented generator: splitmix64(seed, index), its upper 24 bits. */
function seededBases(seed: number, dim: number, rank: number): Matrix {
  const mask = (1n << 64n) - 1n;
  const value = (index: number) => {
    let z = (BigInt(seed) + BigInt(index + 1) * 0x9e3779b97f4a7c15n) & mask;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    return Number((z ^ (z >> 31n)) >> 40n) / 2 ** 24;
  };
  return normalised(
    Array.from({ length: dim }, (_, d) => Array.from({ length: rank }, (_, r) => value(d * rank + r))),
  );
}

/** One image of [N, C, h, w] as rows of channels. */
const rowsOf = (x: Tensor, channels: number): Matrix => {
  const values = Array.from(x.dataSync() as Float32Array);
  const pixels = values.length / channels;
  return Array.from({ length: channels }, (_, c) => values.slice(c * pixels, (c + 1) * pixels));
};

const make = (hamKwargs: HamKwargs = {}) =>
  fill(new Hamburger({ hamChannels: 8, normGroups: 4, hamKwargs: { mdR: 3, ...hamKwargs } }));

const farthest = (a: Matrix, b: Matrix) =>
  Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!))));

describe('factorisation', () => {
  test.each([0, 1, 7])(
    'given %i steps and a seed, then it is the plain loops with the documented bases',
    async (evalSteps) => {
      using hamburger = await make({ evalSteps, nmfSeed: 5 });
      const { stages } = await hamburger.forward({ x: map('x', [1, 8, 4, 5]) }, { stages: true });
      const x = rowsOf(stages.hamIn!, 8).map((row) => row.map((value) => Math.max(value, 0)));
      expect(farthest(rowsOf(stages.nmf!, 8), factorise(x, seededBases(5, 8, 3), evalSteps))).toBeLessThan(
        1e-5,
      );
    },
  );

  test('given bases, then they are normalised over the channels', async () => {
    using hamburger = await make();
    const x = map('x', [1, 8, 3, 3]);
    const bases = seededBases(0, 8, 3);
    const run = async (factor: number) => {
      const values = Float32Array.from(bases.flat(), (value) => value * factor);
      return (await hamburger.forward({ x, nmfBases: tensor(values, [1, 8, 3]) })).output;
    };
    const seeded = (await hamburger.forward({ x })).output;
    expect(distance(await run(1), seeded)).toBeLessThan(1e-5);
    expect(distance(await run(40), seeded)).toBeLessThan(1e-5);
  });

  test('given two groups, then each half of the channels has bases of its own', async () => {
    using hamburger = await make({ mdS: 2 });
    const nmfBases = map('bases', [2, 4, 3]);
    const positive = tensor(Float32Array.from(nmfBases.dataSync() as Float32Array, Math.abs), [2, 4, 3]);
    const { stages } = await hamburger.forward(
      { x: map('x', [1, 8, 4, 5]), nmfBases: positive },
      { stages: true },
    );
    const x = rowsOf(stages.hamIn!, 8).map((row) => row.map((value) => Math.max(value, 0)));
    const groups = [0, 1].flatMap((s) => {
      const values = Array.from(positive.slice(0, s, s + 1).dataSync() as Float32Array);
      const bases = normalised(Array.from({ length: 4 }, (_, d) => values.slice(d * 3, d * 3 + 3)));
      return factorise(x.slice(s * 4, s * 4 + 4), bases, 7);
    });
    expect(farthest(rowsOf(stages.nmf!, 8), groups)).toBeLessThan(1e-5);
  });
});

describe('repeatability', () => {
  test('the same seed gives the same result, another seed another', async () => {
    using first = await make({ nmfSeed: 1 });
    using second = await make({ nmfSeed: 2 });
    const x = map('x', [1, 8, 4, 5]);
    const again = (await first.forward({ x })).output;
    expect(distance((await first.forward({ x })).output, again)).toBe(0);
    expect(distance((await second.forward({ x })).output, again)).toBeGreaterThan(1e-3);
  });

  test("an image's result does not depend on its place in a batch", async () => {
    using hamburger = await make();
    const x = map('x', [3, 8, 4, 5]);
    const together = (await hamburger.forward({ x })).output;
    for (const i of [0, 1, 2]) {
      const alone = (await hamburger.forward({ x: x.slice(0, i, i + 1) })).output;
      expect(distance(alone, together.slice(0, i, i + 1))).toBeLessThan(1e-5);
    }
  });

  test('bases for every image of a batch are used image by image', async () => {
    using hamburger = await make();
    const x = map('x', [2, 8, 4, 5]);
    const values = [3, 4].map((seed) => Float32Array.from(seededBases(seed, 8, 3).flat()));
    const nmfBases = tensor(Float32Array.from([...values[0]!, ...values[1]!]), [2, 8, 3]);
    const together = (await hamburger.forward({ x, nmfBases })).output;
    const second = { x: x.slice(0, 1, 2), nmfBases: tensor(values[1]!, [1, 8, 3]) };
    expect(distance((await hamburger.forward(second)).output, together.slice(0, 1, 2))).toBeLessThan(1e-5);
  });
});

describe('stored bases', () => {
  test('randInit false has them in the state dict, under the name of the reference', () => {
    using hamburger = new Hamburger({
      hamChannels: 8,
      normGroups: 4,
      hamKwargs: { mdR: 3, randInit: false },
    });
    expect(
      hamburger.stateInfo().map(({ name, shape, kind }) => `${name} ${shape.join('x')} ${kind}`),
    ).toEqual([
      'ham_in.conv.weight 8x8x1x1 parameter',
      'ham_in.conv.bias 8 parameter',
      'ham.bases 1x8x3 buffer',
      'ham_out.conv.weight 8x8x1x1 parameter',
      'ham_out.gn.weight 8 parameter',
      'ham_out.gn.bias 8 parameter',
    ]);
  });

  test('they are what the factorisation starts from', async () => {
    using seeded = await make({ nmfSeed: 9 });
    using stored = await make({ randInit: false });
    const bases = tensor(Float32Array.from(seededBases(9, 8, 3).flat()), [1, 8, 3]);
    await stored.loadStateDict({ 'ham.bases': bases }, { strict: false });
    const x = map('x', [2, 8, 4, 5]);
    expect(distance((await stored.forward({ x })).output, (await seeded.forward({ x })).output)).toBeLessThan(
      1e-5,
    );
  });
});

test('stages are there only where asked for', async () => {
  using hamburger = await make();
  expect(Object.keys(await hamburger.forward({ x: map('x', [1, 8, 2, 2]) }))).toEqual(['output']);
});

test('bfloat16 factorises in float32', async () => {
  using hamburger = await make();
  const x = map('x', [1, 8, 4, 5]);
  const exact = (await hamburger.forward({ x })).output;
  await hamburger.to('bfloat16');
  const rough = (await hamburger.forward({ x: x.to('bfloat16') })).output;
  expect(rough.dtype).toBe('bfloat16');
  expect(distance(rough.to('float32'), exact)).toBeLessThan(0.1);
});

describe('refusals', () => {
  test.each([
    [{ hamChannels: 0 }, 'ERR_OPTION_VALUE'],
    [{ hamChannels: 8, normGroups: 3 }, 'ERR_OPTION_VALUE'],
    [{ hamChannels: 8, normGroups: 4, hamKwargs: { mdS: 3 } }, 'ERR_OPTION_VALUE'],
    [{ hamChannels: 8, normGroups: 4, hamKwargs: { mdR: 0 } }, 'ERR_OPTION_VALUE'],
    [{ hamChannels: 8, normGroups: 4, hamKwargs: { evalSteps: -1 } }, 'ERR_OPTION_VALUE'],
    [{ hamChannels: 8, normGroups: 4, hamKwargs: { spatial: false } }, 'ERR_NOT_SUPPORTED'],
    [{ hamChannels: 8, normGroups: 4, hamKwargs: { MD_R: 16 } }, 'ERR_OPTION_UNKNOWN'],
  ])('options %p are %s', async (options, code) => {
    expect((await errorOf(() => new Hamburger(options as never))).code).toBe(code);
  });

  test('bases of another size name the one that fits', async () => {
    using hamburger = await make();
    const run = (shape: number[], images = 2) =>
      errorOf(() => hamburger.forward({ x: map('x', [images, 8, 2, 2]), nmfBases: map('bases', shape) }));
    expect((await run([1, 8, 4])).message).toBe('expected [1 or 2, 8, 3] for nmfBases, got [1, 8, 4]');
    expect((await run([3, 8, 3])).code).toBe('ERR_SHAPE');
    expect((await run([8, 3], 1)).code).toBe('ERR_SHAPE');
  });
});
