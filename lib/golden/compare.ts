import type { DType } from '../dtype';
import type { GoldenOutput, Tolerance } from './case';
import { parseSlice, slicedIndices, slicedShape } from './slice';

/** Elements in C order with their shape: what runners give and what case files store. */
export interface HostArray {
  dtype: DType;
  shape: readonly number[];
  /** Plain numbers, bigint for int64, or the raw 16 bits of half-precision types. */
  data: ArrayLike<number> | ArrayLike<bigint>;
}

/** The outcome of one comparison. */
export interface Comparison {
  name: string;
  ok: boolean;
  /** Greatest |got - want|; Infinity where a NaN or an infinity met a number. */
  error: number;
  /** What was allowed at the element that came nearest to its limit, or went furthest past it. */
  allowed: number;
  /** Elements outside rtol and atol. */
  mismatches: number;
  elements: number;
  /** Why it failed, or what is unusual; empty otherwise. */
  detail: string;
}

/** The least tolerance of a lower-precision run: a share of the value, and of the output's greatest value. */
export interface Precision {
  relative: number;
}

/** Tolerances of runs in another element type than the stored float32 values. */
export const PRECISION: Readonly<Partial<Record<DType, Precision>>> = {
  float16: { relative: 2e-2 },
  bfloat16: { relative: 8e-2 },
};

/**
 * Compares an output with its stored values: |got - want| <= atol + rtol |want|, NaN equal to NaN alone and an
 * infinity to itself alone. Where a slice is stored, `got` is the whole output.
 */
export function compare(
  expected: GoldenOutput,
  want: HostArray,
  got: HostArray,
  precision?: Precision,
): Comparison {
  const { name } = expected;
  if (!sameShape(want.shape, expected.storedShape)) {
    return refused(
      name,
      `the stored values have shape ${words(want.shape)}, case.json says ${words(expected.storedShape)}`,
    );
  }
  if (expected.shape !== undefined && !sameShape(got.shape, expected.shape)) {
    return refused(name, `expected shape ${words(expected.shape)}, got ${words(got.shape)}`);
  }
  let pick: Int32Array | undefined;
  if (expected.slice !== undefined) {
    const ranges = parseSlice(expected.slice, got.shape);
    if (!sameShape(slicedShape(ranges), want.shape)) {
      return refused(name, `slice "${expected.slice}" of ${words(got.shape)} is not ${words(want.shape)}`);
    }
    pick = slicedIndices(ranges, got.shape);
  } else if (!sameShape(got.shape, want.shape)) {
    return refused(name, `expected shape ${words(want.shape)}, got ${words(got.shape)}`);
  }
  const have = numbers(got);
  const stored = numbers(want);
  if (stored.length !== elements(want.shape) || have.length !== elements(got.shape)) {
    return refused(name, 'the number of elements does not fit the shape');
  }
  return compareValues(name, stored, have, pick, relax(expected, stored, want.dtype, precision));
}

function compareValues(
  name: string,
  stored: ArrayLike<number | bigint>,
  have: ArrayLike<number | bigint>,
  pick: Int32Array | undefined,
  tolerance: Tolerance,
): Comparison {
  let error = 0;
  let worst = -1;
  let allowed = tolerance.atol;
  let mismatches = 0;
  let first = -1;
  for (let i = 0; i < stored.length; i += 1) {
    const b = stored[i]!;
    const a = have[pick === undefined ? i : pick[i]!]!;
    const difference = distance(a, b);
    const limit = tolerance.atol + (Number.isFinite(Number(b)) ? tolerance.rtol * Math.abs(Number(b)) : 0);
    if (difference > limit) {
      if (first < 0) first = i;
      mismatches += 1;
    }
    if (difference > error) error = difference;
    const ratio = limit > 0 ? difference / limit : difference > 0 ? Number.POSITIVE_INFINITY : 0;
    if (ratio > worst) {
      worst = ratio;
      allowed = limit;
    }
  }
  const count = stored.length;
  const free = Math.max(tolerance.absolute ?? 0, Math.floor((tolerance.mismatchFraction ?? 0) * count));
  const ok = mismatches <= free;
  let detail = '';
  if (mismatches > 0) {
    const at = first;
    const a = have[pick === undefined ? at : pick[at]!]!;
    detail = `${mismatches} of ${count} elements differ`;
    if (free > 0) detail += `, ${free} may`;
    if (!ok) detail += `; element ${at}: expected ${stored[at]}, got ${a}`;
  }
  return { name, ok, error, allowed, mismatches, elements: count, detail };
}

/** |a - b|, exact for bigint; 0 for NaN and NaN or for equal infinities, Infinity where only one is finite. */
function distance(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0;
  if (typeof a === 'bigint' && typeof b === 'bigint') return Number(a > b ? a - b : b - a);
  const x = Number(a);
  const y = Number(b);
  if (Number.isFinite(x) && Number.isFinite(y)) return Math.abs(x - y);
  return x === y || (Number.isNaN(x) && Number.isNaN(y)) ? 0 : Number.POSITIVE_INFINITY;
}

function relax(
  expected: GoldenOutput,
  stored: ArrayLike<number | bigint>,
  dtype: DType,
  precision?: Precision,
): Tolerance {
  const { tolerance } = expected;
  if (precision === undefined) return tolerance;
  if (!dtype.startsWith('float') && dtype !== 'bfloat16') {
    // Integers of a lower-precision run are arg-maxima and rounded pixels: near-ties may turn.
    return {
      ...tolerance,
      mismatchFraction: Math.max(tolerance.mismatchFraction ?? 0, 4 * precision.relative),
    };
  }
  let greatest = 0;
  for (let i = 0; i < stored.length; i += 1) {
    const value = Math.abs(Number(stored[i]));
    if (value > greatest && Number.isFinite(value)) greatest = value;
  }
  return {
    ...tolerance,
    rtol: Math.max(tolerance.rtol, precision.relative),
    atol: Math.max(tolerance.atol, precision.relative * greatest),
  };
}

/** The elements as numbers: half-precision bits are decoded, everything else is as it stands. */
export function numbers(array: HostArray): ArrayLike<number | bigint> {
  const { dtype, data } = array;
  const bits = Object.prototype.toString.call(data) === '[object Uint16Array]';
  if (bits && dtype === 'bfloat16') return Float64Array.from(data as ArrayLike<number>, fromBfloat16);
  if (bits && dtype === 'float16') return Float64Array.from(data as ArrayLike<number>, fromFloat16);
  return data;
}

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

function fromBfloat16(bits: number): number {
  word[0] = bits << 16;
  return single[0]!;
}

function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function refused(name: string, detail: string): Comparison {
  return { name, ok: false, error: Number.POSITIVE_INFINITY, allowed: 0, mismatches: 0, elements: 0, detail };
}

/** A comparison that failed because the runner gave no such output. */
export function missing(name: string): Comparison {
  return refused(name, 'no such output was produced');
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((side, i) => side === b[i]);
}

function words(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
