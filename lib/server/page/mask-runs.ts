import type { CocoMask } from './answer.js';
import { findRun } from './run-search.js';

/** Five bits of a number stand in each character, above 48; the sixth says that more follow. */
const FIRST = 48;
const BITS = 5;
const MORE = 1 << BITS;
const SIGN = 1 << (BITS - 1);

/**
 * Run lengths of COCO's compressed string: outside and inside by turns, column by column; from the fourth on, the
 * difference from the last but one is stored. Throws Error where the string is malformed.
 */
export function runLengths(counts: string): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let shift = 0;
    let code = MORE;
    while ((code & MORE) !== 0) {
      code = counts.charCodeAt(at) - FIRST;
      if (!(code >= 0 && code < 2 * MORE && shift <= 35)) {
        throw new Error(`expected a compressed mask, got a bad character at ${at}`);
      }
      value += (code & (MORE - 1)) * 2 ** shift;
      shift += BITS;
      at += 1;
    }
    if ((code & SIGN) !== 0) value -= 2 ** shift;
    lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2]! : value);
  }
  return lengths;
}

/** A mask kept as runs. */
export class MaskRuns {
  readonly width: number;
  readonly height: number;
  /** The position after each run, column by column; even runs are outside. */
  readonly #ends: Uint32Array;

  /** Throws Error where the string is malformed or its lengths do not add up to the size. */
  constructor({ size: [height, width], counts }: CocoMask) {
    const lengths = runLengths(counts);
    this.width = width;
    this.height = height;
    this.#ends = new Uint32Array(lengths.length);
    let end = 0;
    for (let run = 0; run < lengths.length; run++) {
      end += lengths[run]!;
      this.#ends[run] = end;
    }
    if (end !== width * height) {
      throw new Error(`expected a mask of ${width} x ${height} = ${width * height} pixels, got ${end}`);
    }
  }

  /** Whether a column and a row lie inside the mask. */
  has(x: number, y: number): boolean {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return false;
    return findRun(this.#ends, x * this.height + y) % 2 === 1;
  }

  /** Calls `inside` with the index of every one of `rows`, which must rise, that lies inside the mask at a column. */
  column(x: number, rows: Uint32Array, inside: (index: number) => void): void {
    if (rows.length === 0) return;
    const start = x * this.height;
    let run = findRun(this.#ends, start + rows[0]!);
    for (let i = 0; i < rows.length; i++) {
      const position = start + rows[i]!;
      while (this.#ends[run]! <= position) run += 1;
      if (run % 2 === 1) inside(i);
    }
  }
}
