import { statSync } from 'node:fs';
import type { DType } from '../dtype';
import { CheckpointError } from '../errors';
import { type MappedFileHandle, native } from '../native';
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

/** A file mapped into memory: pages are read when they are touched, and tensors may lie in the mapping. */
export class MappedSource implements ByteSource {
  readonly size: number;
  readonly #handle: MappedFileHandle;
  #buffer: ArrayBuffer | undefined;

  /** Maps the file at a path. Throws ERR_FILE where it cannot be read. */
  constructor(readonly name: string) {
    const { handle, buffer } = native().mapFile(name);
    this.#handle = handle;
    this.#buffer = buffer;
    this.size = buffer.byteLength;
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
    // A page behind the end of a file that was cut kills the process when touched: look before each tensor.
    const now = statSync(this.name, { throwIfNoEntry: false });
    if (now !== undefined && now.size < this.size) {
      refuse(
        'ERR_CHECKPOINT_FILE_CHANGED',
        this.name,
        `${this.size} bytes`,
        `${now.size}: the file was cut while open`,
      );
    }
  }

  close(): void {
    if (this.#buffer === undefined) return;
    this.#buffer = undefined;
    native().unmapFile(this.#handle);
  }
}

function closed(name: string): CheckpointError {
  return new CheckpointError('ERR_CHECKPOINT_CLOSED', `checkpoint ${name} was used after close()`, {
    expected: 'an open checkpoint',
    actual: 'a closed one',
  });
}
