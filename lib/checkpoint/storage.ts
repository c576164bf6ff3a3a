import { crc32, inflateRawSync } from 'node:zlib';
import { refuse } from './codes';
import type { ByteSource } from './source';

/** A stretch of bytes that tensors are cut from. */
export interface Storage {
  /** Tensors with the same id share memory. */
  readonly id: string;
  /** Bytes that tensors may use. */
  readonly length: number;
  /** Elements are stored with the greatest byte first. */
  readonly bigEndian: boolean;
  /** Where the bytes lie in the source, if they lie there as they are. */
  readonly position: number | undefined;
  /** Checks the bytes, at the first call, without viewing them: a storage may be larger than a typed array. */
  check(): void;
  /** A view of some of the bytes, which lie inside. Checks first. */
  view(start: number, length: number): Uint8Array;
}

/** A stretch of the source, without a checksum: legacy files, pickles and safetensors. */
export class PlainStorage implements Storage {
  constructor(
    readonly source: ByteSource,
    readonly id: string,
    readonly position: number,
    readonly length: number,
    readonly bigEndian = false,
  ) {}

  check(): void {
    this.source.check();
  }

  view(start: number, length: number): Uint8Array {
    this.check();
    return this.source.view(this.position + start, length);
  }
}

/** What a zip entry says of its data. */
export interface PackedBytes {
  readonly name: string;
  readonly position: number;
  readonly packedSize: number;
  readonly size: number;
  readonly deflated: boolean;
  /** Undefined where the archive was written without checksums. */
  readonly crc: number | undefined;
}

/** The data of a zip entry: checked against its CRC-32, and inflated if need be, at the first touch. */
export class ZipStorage implements Storage {
  readonly position: number | undefined;
  #checked = false;
  #inflated: Uint8Array | undefined;

  constructor(
    readonly source: ByteSource,
    readonly entry: PackedBytes,
    readonly length: number,
    readonly bigEndian: boolean,
  ) {
    this.position = entry.deflated ? undefined : entry.position;
  }

  get id(): string {
    return this.entry.name;
  }

  check(): void {
    this.source.check();
    if (this.#checked) return;
    if (this.entry.deflated) this.#inflated = readPacked(this.source, this.entry);
    else checkCrc(this.entry, (at, count) => this.source.view(this.entry.position + at, count));
    this.#checked = true;
  }

  view(start: number, length: number): Uint8Array {
    this.check();
    if (this.#inflated !== undefined) return this.#inflated.subarray(start, start + length);
    return this.source.view(this.entry.position + start, length);
  }
}

/** The whole data of an entry. Inflates never more than the stated size. */
export function readPacked(source: ByteSource, entry: PackedBytes): Uint8Array {
  const packed = source.view(entry.position, entry.packedSize);
  const data = entry.deflated ? inflate(packed, entry) : packed;
  checkCrc(entry, (at, count) => data.subarray(at, at + count));
  return data;
}

function inflate(packed: Uint8Array, entry: PackedBytes): Uint8Array {
  let data: Buffer;
  try {
    data = inflateRawSync(packed, { maxOutputLength: Math.max(entry.size, 1) });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    refuse('ERR_CHECKPOINT_INFLATE', `zip entry ${entry.name}`, `${entry.size} deflated bytes`, reason);
  }
  if (data.length !== entry.size) {
    refuse(
      'ERR_CHECKPOINT_INFLATE',
      `zip entry ${entry.name}`,
      `${entry.size} deflated bytes`,
      String(data.length),
    );
  }
  return data;
}

const CRC_CHUNK = 64 << 20;

function checkCrc(entry: PackedBytes, view: (at: number, count: number) => Uint8Array): void {
  if (entry.crc === undefined) return;
  let sum = 0;
  for (let at = 0; at < entry.size; at += CRC_CHUNK) {
    sum = crc32(view(at, Math.min(CRC_CHUNK, entry.size - at)), sum);
  }
  if (sum !== entry.crc) {
    const hex = (value: number) => `0x${value.toString(16).padStart(8, '0')}`;
    refuse(
      'ERR_CHECKPOINT_CRC',
      `the CRC-32 of zip entry ${entry.name}`,
      hex(entry.crc),
      `${hex(sum)}: the file is damaged`,
    );
  }
}

/** Bytes inside a pickle: as they are, or as a text (latin-1 in UTF-8) that is decoded when it is first touched. */
export class PickleStorage implements Storage {
  #bytes: Uint8Array | undefined;

  constructor(
    readonly source: ByteSource,
    readonly id: string,
    readonly length: number,
    readonly bigEndian: boolean,
    readonly position: number | undefined,
    readonly read: () => Uint8Array,
  ) {}

  check(): void {
    this.source.check();
    this.#bytes ??= this.read();
  }

  view(start: number, length: number): Uint8Array {
    this.check();
    return this.#bytes!.subarray(start, start + length);
  }
}
