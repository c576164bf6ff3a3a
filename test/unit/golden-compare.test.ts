import type { GoldenOutput } from '../../lib/golden/case';
import { compare, type HostArray, numbers } from '../../lib/golden/compare';

const host = (
  data: ArrayLike<number> | ArrayLike<bigint>,
  shape: number[],
  dtype: HostArray['dtype'] = 'float32',
): HostArray => ({
  data,
  shape,
  dtype,
});
const expected = (
  shape: number[],
  tolerance: GoldenOutput['tolerance'],
  more: Partial<GoldenOutput> = {},
): GoldenOutput => ({
  name: 'y',
  shape,
  storedShape: shape,
  tolerance,
  ...more,
});

describe('compare', () => {
  it('passes up to atol + rtol * |want| and fails past it', () => {
    const rule = expected([2], { rtol: 0.1, atol: 0.5 });
    expect(compare(rule, host([10, -10], [2]), host([11.5, -11.5], [2])).ok).toBe(true);
    const past = compare(rule, host([10, -10], [2]), host([10, -11.6], [2]));
    expect(past).toMatchObject({ ok: false, mismatches: 1, elements: 2 });
    expect(past.detail).toContain('element 1: expected -10, got -11.6');
  });

  it('reports the greatest error and what the worst element was allowed', () => {
    const { error, allowed } = compare(
      expected([3], { rtol: 0.1, atol: 0 }),
      host([1, 10, 100], [3]),
      host([1.05, 10, 101], [3]),
    );
    expect(error).toBeCloseTo(1, 6);
    expect(allowed).toBeCloseTo(0.1, 6);
  });

  it('takes NaN for NaN alone and an infinity for itself alone', () => {
    const rule = expected([1], { rtol: 1, atol: 1e9 });
    const one = (want: number, got: number) => compare(rule, host([want], [1]), host([got], [1])).ok;
    expect(one(Number.NaN, Number.NaN)).toBe(true);
    expect(one(Number.NaN, 0)).toBe(false);
    expect(one(0, Number.NaN)).toBe(false);
    expect(one(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)).toBe(true);
    expect(one(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)).toBe(false);
    expect(one(1, Number.POSITIVE_INFINITY)).toBe(false);
    expect(one(Number.POSITIVE_INFINITY, 1)).toBe(false);
  });

  it('compares int64 exactly, beyond 2^53 as well', () => {
    const rule = expected([1], { rtol: 0, atol: 0 });
    const big = (value: bigint) => host(BigInt64Array.of(value), [1], 'int64');
    expect(compare(rule, big(9007199254740993n), big(9007199254740993n)).ok).toBe(true);
    expect(compare(rule, big(9007199254740993n), big(9007199254740992n)).ok).toBe(false);
    expect(compare(rule, big(7n), host([7], [1])).ok).toBe(true);
  });

  it('lets a share or a number of elements differ', () => {
    const want = host([1, 2, 3, 4], [4]);
    const got = host([1, 2, 9, 4], [4]);
    expect(compare(expected([4], { rtol: 0, atol: 0, mismatchFraction: 0.25 }), want, got).ok).toBe(true);
    expect(compare(expected([4], { rtol: 0, atol: 0, mismatchFraction: 0.2 }), want, got).ok).toBe(false);
    expect(compare(expected([4], { rtol: 0, atol: 0, absolute: 1 }), want, got).ok).toBe(true);
    expect(compare(expected([4], { rtol: 0, atol: 0 }), want, got).ok).toBe(false);
  });

  it('takes the stored slice out of the whole output', () => {
    const whole = host([0, 1, 2, 3, 4, 5], [2, 3]);
    const rule = expected([2, 3], { rtol: 0, atol: 0 }, { slice: ':, ::2', storedShape: [2, 2] });
    expect(compare(rule, host([0, 2, 3, 5], [2, 2]), whole).ok).toBe(true);
    expect(compare(rule, host([0, 2, 3, 6], [2, 2]), whole).ok).toBe(false);
    const { shape: _shape, ...unknown } = rule;
    expect(compare(unknown, host([0, 2, 3, 5], [2, 2]), whole).ok).toBe(true);
  });

  it.each([
    ['another shape', host([1, 2], [2]), host([1, 2], [1, 2]), /expected shape \[2\], got \[1, 2\]/],
    ['another stored shape', host([1, 2, 3], [3]), host([1, 2], [2]), /stored values have shape \[3\]/],
    ['too few elements', host([1, 2], [2]), host([1], [2]), /number of elements/],
  ])('refuses %s', (_what, want, got, message) => {
    const result = compare(expected([2], { rtol: 0, atol: 0 }), want, got);
    expect(result.ok).toBe(false);
    expect(result.detail).toMatch(message);
  });

  it('passes an empty output', () => {
    expect(compare(expected([0], { rtol: 0, atol: 0 }), host([], [0]), host([], [0])).ok).toBe(true);
  });

  it('decodes half precision', () => {
    const half = numbers(
      host(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000), [6], 'float16'),
    );
    expect(Array.from(half as ArrayLike<number>)).toEqual([
      1,
      -2,
      2 ** -24,
      65504,
      Number.POSITIVE_INFINITY,
      -0,
    ]);
    const brain = numbers(host(Uint16Array.of(0x3f80, 0xc000, 0x7f80), [3], 'bfloat16'));
    expect(Array.from(brain as ArrayLike<number>)).toEqual([1, -2, Number.POSITIVE_INFINITY]);
  });

  it('relaxes by the output size in half precision, and no further', () => {
    const rule = expected([2], { rtol: 1e-4, atol: 1e-5 });
    const want = host([0.01, 10], [2]);
    expect(compare(rule, want, host([0.1, 10], [2]), { relative: 0.01 }).ok).toBe(true);
    expect(compare(rule, want, host([0.2, 10], [2]), { relative: 0.01 }).ok).toBe(false);
  });
});
