import { DTYPE_BYTES, type DType } from '../dtype';
import { refuse } from './codes';
import type { Storage } from './storage';

/** A tensor whose layout is known to lie inside its storage. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  /** In elements from the start of the storage. */
  readonly offset: number;
  readonly storage: Storage;
}

/** A layout as a file states it, each part still of any type. */
export interface Layout {
  readonly dtype: DType;
  readonly shape: readonly unknown[];
  readonly strides: readonly unknown[];
  readonly offset: unknown;
}

const MAX_RANK = 64;
const MAX_EXPANDED_BYTES = 16 << 20;
const LIMIT = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Checks a layout against the bytes of its storage. All sums and products are taken in arbitrary precision, so
 * nothing wraps around. `what` names the tensor in messages.
 */
export function checkLayout(what: string, layout: Layout, storage: Storage): TensorSpec {
  const { dtype } = layout;
  if (layout.shape.length !== layout.strides.length) {
    const actual = `${layout.shape.length} sizes and ${layout.strides.length} strides`;
    refuse('ERR_CHECKPOINT_RANK', what, 'as many strides as sizes', actual);
  }
  const shape = checkShape(what, layout.shape);
  const strides = layout.strides.map((step) =>
    checkCount('ERR_CHECKPOINT_STRIDE', `a stride of ${what}`, step),
  );
  const offset = checkCount('ERR_CHECKPOINT_OFFSET', `the storage offset of ${what}`, layout.offset);
  const empty = shape.includes(0);
  const last = shape.reduce((sum, side, i) => sum + BigInt(Math.max(side - 1, 0)) * strides[i]!, offset);
  if (last > LIMIT) refuse('ERR_CHECKPOINT_OVERFLOW', what, 'positions below 2^53', String(last));

  const element = DTYPE_BYTES[dtype];
  const room = BigInt(Math.floor(storage.length / element));
  if (empty ? offset > room : last >= room) {
    const actual = empty ? `offset ${offset}` : `its last element at ${last}`;
    refuse('ERR_CHECKPOINT_OUT_OF_STORAGE', what, `a view inside its storage of ${room} elements`, actual);
  }
  const bytes = countOf(shape) * element;
  if (bytes > Math.max(MAX_EXPANDED_BYTES, storage.length)) {
    refuse(
      'ERR_CHECKPOINT_EXPANDED',
      what,
      `at most ${MAX_EXPANDED_BYTES} bytes of repeated elements`,
      `${bytes} bytes`,
    );
  }
  return { dtype, shape, strides: strides.map(Number), offset: Number(offset), storage };
}

/** Checks sizes alone: integers from 0, at most 64 of them, fewer than 2^53 elements. */
export function checkShape(what: string, sizes: readonly unknown[]): number[] {
  if (sizes.length > MAX_RANK) {
    refuse('ERR_CHECKPOINT_RANK', what, `at most ${MAX_RANK} dimensions`, String(sizes.length));
  }
  const shape = sizes.map((side) => checkCount('ERR_CHECKPOINT_SIZE', `a size of ${what}`, side));
  // Sides of 0 are left out: [2^40, 2^40, 0] holds nothing, and still no product of it may wrap around.
  const count = shape.reduce((product, side) => (side === 0n ? product : product * side), 1n);
  if (count > LIMIT)
    refuse('ERR_CHECKPOINT_OVERFLOW', what, 'fewer than 2^53 elements', `[${shape.join(', ')}]`);
  return shape.map(Number);
}

type CountCode = 'ERR_CHECKPOINT_SIZE' | 'ERR_CHECKPOINT_STRIDE' | 'ERR_CHECKPOINT_OFFSET';

function checkCount(code: CountCode, what: string, value: unknown): bigint {
  const whole =
    typeof value === 'bigint' ? value : Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
  if (whole === undefined) refuse(code, what, 'an integer from 0', `a value of type ${typeof value}`);
  if (whole < 0n) refuse(code, what, 'an integer from 0', String(whole));
  if (whole > LIMIT) refuse('ERR_CHECKPOINT_OVERFLOW', what, 'at most 2^53 - 1', String(whole));
  return whole;
}

/** Strides of elements packed in C order. */
export function packedStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= Math.max(shape[i]!, 1);
  }
  return strides;
}

/** Strides of elements packed in Fortran order. */
export function fortranStrides(shape: readonly number[]): number[] {
  return packedStrides([...shape].reverse()).reverse();
}

/** Number of elements of a shape. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

/** True where the elements lie packed in C order; strides of sides 0 and 1 do not matter. */
export function isPacked(spec: Pick<TensorSpec, 'shape' | 'strides'>): boolean {
  if (spec.shape.includes(0)) return true;
  const packed = packedStrides(spec.shape);
  return spec.shape.every((side, i) => side === 1 || spec.strides[i] === packed[i]);
}

const TOTAL_FACTOR = 16;
const TOTAL_FLOOR = 256 << 20;

/** Sums up what all tensors of a file would take when written out, against the bytes that they share. */
export class TensorBudget {
  readonly #storages = new Set<string>();
  #stored = 0;
  #written = 0;

  add(spec: TensorSpec): void {
    if (!this.#storages.has(spec.storage.id)) {
      this.#storages.add(spec.storage.id);
      this.#stored += spec.storage.length;
    }
    this.#written += countOf(spec.shape) * DTYPE_BYTES[spec.dtype];
  }

  /** Refuses a small file whose tensors, written out, would fill a disk. Called once all tensors are known. */
  check(): void {
    const limit = Math.max(TOTAL_FLOOR, TOTAL_FACTOR * this.#stored);
    if (this.#written > limit) {
      refuse(
        'ERR_CHECKPOINT_TOTAL_SIZE',
        'all tensors together',
        `at most ${limit} bytes`,
        `${this.#written} bytes`,
      );
    }
  }
}
