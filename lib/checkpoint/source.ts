import { constants } from 'node:buffer';
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { MappedFileHandle } from '../binding';
import type { DType } from '../dtype';
import { CheckpointError } from '../errors';
import { native } from '../native';
import { Tensor } from '../tensor';
import { refuse } from './codes';

/** Where a checkpoint's bytes are: a mapped file, or memory. */
export interface ByteSource {
  /** For messages: the file's path. */
  readonly name: string;
  readonly size: number;
  /** A view of bytes that the caller has checked to lie inside. */
  view(offset: number, length: number): Uint8Array;
  /** A tensor over the source's own memory, or undefined where the source cannot lend it. */
  tensor(
    offset: number,
    dtype: DType,
    shape: readonly number[],
    strides: readonly number[],
  ): Tensor | undefined;
  /** Throws where the bytes can no longer be read: the source was closed, or the file was cut. */
  check(): void;
  close(): void;
}

/** Bytes in memory, never copied as a whole; tensors are made as copies, because the memory is its owner's. */
export class MemorySource implements ByteSource {
  readonly size: number;
  #bytes: Uint8Array | undefined;

  constructor(
    bytes: Uint8Array,
    readonly name: string,
  ) {
    this.#bytes = bytes;
    this.size = bytes.byteLength;
  }

  view(offset: number, length: number): Uint8Array {
    if (this.#bytes === undefined) throw closed(this.name);
    return this.#bytes.subarray(offset, offset + length);
  }

  tensor(): undefined {
    return undefined;
  }

  check(): void {
    if (this.#bytes === undefined) throw closed(this.name);
  }

  close(): void {
    this.#bytes = undefined;
  }
}

/** The largest buffer of Node.js 20, and what the addon maps as one. */
const LARGEST_BUFFER = 2 ** 32;

/** Opens a file: mapped, or by reading where it is larger than one buffer can be. */
export function openSource(path: string): ByteSource {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && status.size > LARGEST_BUFFER
    ? new FileSource(path)
    : new MappedSource(path);
}

/** A file mapped into memory: pages are read when they are touched, and tensors may lie in the mapping. */
export class MappedSource implements ByteSource {
  readonly size: number;
  readonly #handle: MappedFileHandle;
  readonly #identity: string;
  #buffer: ArrayBuffer | undefined;

  /** Maps the file at a path. Throws ERR_FILE where it cannot be read. */
  constructor(readonly name: string) {
    const { handle, buffer } = native().mapFile(name);
    this.#handle = handle;
    this.#buffer = buffer;
    this.size = buffer.byteLength;
    this.#identity = identityOf(name)?.identity ?? '';
  }

  view(offset: number, length: number): Uint8Array {
    if (this.#buffer === undefined) throw closed(this.name);
    return new Uint8Array(this.#buffer, offset, length);
  }

  tensor(offset: number, dtype: DType, shape: readonly number[], strides: readonly number[]): Tensor {
    this.check();
    return new Tensor(native().tensorFromMapped(this.#handle, offset, dtype, shape, strides));
  }

  check(): void {
    if (this.#buffer === undefined) throw closed(this.name);
    // A page behind the end of a file that was cut kills the process when touched: look before each tensor. Another
    // file under the same name does not matter, the mapping keeps the old one.
    const now = identityOf(this.name);
    if (now !== undefined && now.identity === this.#identity) checkSize(this.name, this.size, now.size);
  }

  close(): void {
    if (this.#buffer === undefined) return;
    this.#buffer = undefined;
    native().unmapFile(this.#handle);
  }
}

/** A file that is read piece by piece, for those that are too large to map as one buffer. */
export class FileSource implements ByteSource {
  readonly size: number;
  #file: number | undefined;

  constructor(readonly name: string) {
    this.#file = openSync(name, 'r');
    this.size = fstatSync(this.#file).size;
  }

  view(offset: number, length: number): Uint8Array {
    this.check();
    if (length > constants.MAX_LENGTH) throw tooLarge(this.name, length);
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      // One call reads less than 2 GiB on Linux.
      const count = readSync(this.#file!, bytes, at, Math.min(length - at, MAX_READ), offset + at);
      if (count === 0) checkSize(this.name, this.size, offset + at);
      at += count;
    }
    return bytes;
  }

  tensor(): undefined {
    return undefined;
  }

  check(): void {
    if (this.#file === undefined) throw closed(this.name);
    checkSize(this.name, this.size, fstatSync(this.#file).size);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

const MAX_READ = 2 ** 30;

function identityOf(path: string): { identity: string; size: number } | undefined {
  const status = statSync(path, { throwIfNoEntry: false, bigint: true });
  return status && { identity: `${status.dev} ${status.ino}`, size: Number(status.size) };
}

function checkSize(name: string, expected: number, actual: number): void {
  if (actual < expected) {
    const words = `${actual}: the file was cut while open`;
    refuse('ERR_CHECKPOINT_FILE_CHANGED', name, `${expected} bytes`, words);
  }
}

function tooLarge(name: string, length: number): CheckpointError {
  const expected = `at most ${constants.MAX_LENGTH} bytes`;
  const message = `expected ${expected} at once from ${name}, got ${length}`;
  return new CheckpointError('ERR_CHECKPOINT_TOO_LARGE', message, { expected, actual: String(length) });
}

function closed(name: string): CheckpointError {
  return new CheckpointError('ERR_CHECKPOINT_CLOSED', `checkpoint ${name} was used after close()`, {
    expected: 'an open checkpoint',
    actual: 'a closed one',
  });
}
