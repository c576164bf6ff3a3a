import { refuse } from '../codes';
import type { Span } from './values';

/** What a pickle is read from. */
export interface PickleInput {
  readonly bytes: Uint8Array;
  /** Where `bytes` lie in the source; undefined for inflated data. */
  readonly position: number | undefined;
}

/** A stated length this many times the size of its file was never true: a lie, not a cut. */
const ABSURD = 16;
const MAX_LINE = 4096;

/** Reads the arguments of opcodes, each checked against the end of the data before it is touched. */
export class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #position: number | undefined;
  at = 0;

  constructor(input: PickleInput) {
    this.#bytes = input.bytes;
    this.#view = new DataView(input.bytes.buffer, input.bytes.byteOffset, input.bytes.byteLength);
    this.#position = input.position;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** A length of eight bytes; refused where it is beyond any file. */
  length64(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) absurd(String(value));
    return Number(value);
  }

  /** A length of four bytes that is signed in the format. */
  length32(): number {
    const value = this.int32();
    if (value < 0) absurd(String(value));
    return value;
  }

  /** The bytes of an argument, without a copy. */
  span(length: number): Span {
    const start = this.#take(length);
    const position = this.#position === undefined ? undefined : this.#position + start;
    return { bytes: this.#bytes.subarray(start, start + length), position };
  }

  /** Checks that a length lies inside the data, without moving on. */
  expect(length: number): void {
    this.at = this.#take(length);
  }

  /** A line of the text opcodes, without its newline. */
  line(): Uint8Array {
    const window = this.#bytes.subarray(this.at, this.at + MAX_LINE + 1);
    const end = window.indexOf(0x0a);
    if (end < 0) {
      if (window.length > MAX_LINE) {
        refuse('ERR_CHECKPOINT_PICKLE_LENGTH', 'a line of the pickle', `at most ${MAX_LINE} bytes`, 'more');
      }
      cut('a newline', window.length);
    }
    this.at += end + 1;
    return window.subarray(0, end);
  }

  #take(length: number): number {
    const start = this.at;
    const left = this.#bytes.length - start;
    if (length > left) {
      if (length > ABSURD * this.#bytes.length) absurd(`${length} where ${left} bytes are left`);
      cut(`${length} bytes`, left);
    }
    this.at = start + length;
    return start;
  }
}

function absurd(actual: string): never {
  refuse('ERR_CHECKPOINT_PICKLE_LENGTH', 'a length in the pickle', 'a length inside the file', actual);
}

function cut(expected: string, left: number): never {
  refuse(
    'ERR_CHECKPOINT_TRUNCATED',
    'the pickle',
    expected,
    `the end of the data after ${left}: the file is cut`,
  );
}
