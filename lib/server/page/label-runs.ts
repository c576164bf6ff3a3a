import { findRun } from './run-search.js';

/** The class of every pixel, kept as runs: a map of 40 million pixels costs what its outlines cost. */
export class LabelRuns {
  readonly width: number;
  readonly height: number;
  readonly #labels: Uint16Array;
  readonly #ends: Uint32Array;

  /** `runs`: [label, length, ...], row by row. Throws Error where the lengths do not add up to width x height. */
  constructor(width: number, height: number, runs: readonly number[]) {
    const count = runs.length / 2;
    this.width = width;
    this.height = height;
    this.#labels = new Uint16Array(count);
    this.#ends = new Uint32Array(count);
    let end = 0;
    for (let run = 0; run < count; run++) {
      end += runs[2 * run + 1]!;
      this.#labels[run] = runs[2 * run]!;
      this.#ends[run] = end;
    }
    if (end !== width * height) {
      throw new Error(`expected runs of ${width} x ${height} = ${width * height} pixels, got ${end}`);
    }
  }

  /** The label at a column and a row, or undefined outside of the image. */
  at(x: number, y: number): number | undefined {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return undefined;
    return this.#labels[findRun(this.#ends, y * this.width + x)];
  }

  /** Writes the labels of a row at some columns, which must rise, into `into`. */
  row(y: number, columns: Uint32Array, into: Uint16Array): void {
    const start = y * this.width;
    let run = findRun(this.#ends, start + columns[0]!);
    for (let i = 0; i < columns.length; i++) {
      const position = start + columns[i]!;
      while (this.#ends[run]! <= position) run += 1;
      into[i] = this.#labels[run]!;
    }
  }
}
