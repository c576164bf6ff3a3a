import { quote, refuse } from './codes';
import type { ByteSource } from './source';
import type { PackedBytes } from './storage';

/** An entry of a zip archive, checked against its local header and against all other entries. */
export interface ZipEntry extends PackedBytes {
  /** First byte of the local header. */
  readonly start: number;
}

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

const END_SIGNATURE = 0x06054b50;
const END_SIZE = 22;
const END64_LOCATOR = 0x07064b50;
const END64_SIGNATURE = 0x06064b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const CENTRAL_SIZE = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_SIZE = 30;
const MAX_COMMENT = 0xffff;
const MAX_ENTRIES = 1_000_000;
const HAS_DESCRIPTOR = 0x0008;
const IS_UTF8 = 0x0800;

/**
 * Reads a zip archive's central directory and checks it whole: records where they must be, no duplicates, no overlap,
 * nothing outside the file, names that stay inside, local headers that agree. Reads headers only, never data.
 */
export function readZip(source: ByteSource): Map<string, ZipEntry> {
  const directory = findDirectory(source);
  const { offset, size, count } = directory;
  if (count > MAX_ENTRIES)
    refuse('ERR_CHECKPOINT_ZIP_ENTRIES', 'the zip archive', `at most ${MAX_ENTRIES} entries`, `${count}`);
  if (count * CENTRAL_SIZE > size) record(`a directory of ${count} entries`, `${size} bytes`);
  const bytes = source.view(offset, size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  let sums = 0;
  for (let i = 0; i < count; i++) {
    const central = readCentral(view, bytes, at);
    at = central.end;
    if (entries.has(central.name)) {
      refuse(
        'ERR_CHECKPOINT_ZIP_DUPLICATE',
        'the zip archive',
        'each entry name once',
        `${quote(central.name)} twice`,
      );
    }
    sums |= central.crc;
    entries.set(central.name, locate(source, central, offset));
  }
  if (at !== size) record('a directory that its entries fill', `${size - at} bytes more`);
  checkOverlaps([...entries.values()]);
  // torch.serialization.set_crc32_options(False) writes 0 for every entry: such an archive has no checksums.
  if (sums === 0) for (const [name, entry] of entries) entries.set(name, { ...entry, crc: undefined });
  return entries;
}

/** Finds the end record, from the end backwards: it must be the last thing in the file. */
function findDirectory(source: ByteSource): Directory {
  const length = Math.min(source.size, END_SIZE + MAX_COMMENT);
  const base = source.size - length;
  const tail = source.view(base, length);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  for (let at = length - END_SIZE; at >= 0; at--) {
    if (view.getUint32(at, true) !== END_SIGNATURE) continue;
    if (at + END_SIZE + view.getUint16(at + 20, true) !== length) continue;
    return readEnd(source, view, at, base + at);
  }
  return refuse(
    'ERR_CHECKPOINT_ZIP_NO_DIRECTORY',
    'the zip archive',
    'a central directory at its end',
    'none: the file is cut. Download or copy it again',
  );
}

function readEnd(source: ByteSource, view: DataView, at: number, position: number): Directory {
  const disks = view.getUint16(at + 4, true) | view.getUint16(at + 6, true);
  const here = view.getUint16(at + 8, true);
  let count = view.getUint16(at + 10, true);
  let size = view.getUint32(at + 12, true);
  let offset = view.getUint32(at + 16, true);
  let end = position;
  const locator = position - 20;
  const big = locator >= 0 ? viewOf(source, locator, 20) : undefined;
  if (big !== undefined && big.getUint32(0, true) === END64_LOCATOR) {
    end = wide(big, 8);
    if (end + 56 > locator) record('a zip64 end record before its locator', `offset ${end}`);
    const end64 = viewOf(source, end, 56);
    if (end64.getUint32(0, true) !== END64_SIGNATURE) record('a zip64 end record', 'another record');
    if (end + 12 + wide(end64, 4) !== locator)
      record('a zip64 end record that reaches its locator', 'another size');
    const total = wide(end64, 32);
    if ((count !== 0xffff && count !== total) || total !== wide(end64, 24)) record('one entry count', 'two');
    if (size !== 0xffffffff && size !== wide(end64, 40)) record('one directory size', 'two');
    if (offset !== 0xffffffff && offset !== wide(end64, 48)) record('one directory offset', 'two');
    count = total;
    size = wide(end64, 40);
    offset = wide(end64, 48);
  } else if (disks !== 0 || here !== count) record('an archive on one disk', 'one on several');
  // Anything between the directory and its end record would be seen by some readers and not by others.
  if (offset + size !== end) record(`a central directory that ends at ${end}`, `${offset} + ${size}`);
  return { offset, size, count };
}

interface Central {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packedSize: number;
  readonly size: number;
  readonly start: number;
  readonly end: number;
}

function readCentral(view: DataView, bytes: Uint8Array, at: number): Central {
  if (at + CENTRAL_SIZE > bytes.length) record('a directory entry', 'the end of the directory');
  if (view.getUint32(at, true) !== CENTRAL_SIGNATURE) record('a directory entry', 'another record');
  const flags = view.getUint16(at + 8, true);
  const method = view.getUint16(at + 10, true);
  const crc = view.getUint32(at + 16, true);
  const nameLength = view.getUint16(at + 28, true);
  const extraLength = view.getUint16(at + 30, true);
  const end = at + CENTRAL_SIZE + nameLength + extraLength + view.getUint16(at + 32, true);
  if (end > bytes.length) record('a directory entry', 'one that reaches past the directory');
  const nameBytes = bytes.subarray(at + CENTRAL_SIZE, at + CENTRAL_SIZE + nameLength);
  const name = decodeName(nameBytes, flags);
  const extra = at + CENTRAL_SIZE + nameLength;
  const wanted = [
    view.getUint32(at + 24, true),
    view.getUint32(at + 20, true),
    view.getUint32(at + 42, true),
  ];
  const [size, packedSize, start] = widened(view, extra, extra + extraLength, wanted);
  if ((flags & 0x2041) !== 0) {
    refuse('ERR_CHECKPOINT_ZIP_ENCRYPTED', `zip entry ${quote(name)}`, 'plain data', 'encrypted data');
  }
  if (method !== 0 && method !== 8) {
    refuse(
      'ERR_CHECKPOINT_ZIP_METHOD',
      `zip entry ${quote(name)}`,
      'stored or deflated data',
      `method ${method}`,
    );
  }
  if (method === 0 && size !== packedSize) record('a stored entry of one size', `${packedSize} and ${size}`);
  return { name, flags, method, crc, packedSize: packedSize!, size: size!, start: start!, end };
}

/** Replaces values of 0xFFFFFFFF by those of the zip64 extra field, in the field's order. */
function widened(view: DataView, from: number, to: number, values: readonly number[]): number[] {
  if (!values.includes(0xffffffff)) return [...values];
  for (let at = from; at + 4 <= to; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 0x0001) continue;
    const end = at + 4 + view.getUint16(at + 2, true);
    let next = at + 4;
    return values.map((value) => {
      if (value !== 0xffffffff) return value;
      if (next + 8 > Math.min(end, to)) return record('a zip64 field with all sizes', 'a shorter one');
      next += 8;
      return wide(view, next - 8);
    });
  }
  return [...values];
}

function decodeName(bytes: Uint8Array, flags: number): string {
  const name = Buffer.from(bytes).toString((flags & IS_UTF8) !== 0 ? 'utf8' : 'latin1');
  const parts = name.split(/[/\\]/);
  const leaves = name === '' || /^[/\\]|^[A-Za-z]:/.test(name) || parts.includes('..') || name.includes('\0');
  if (leaves) refuse('ERR_CHECKPOINT_ZIP_NAME', 'a zip entry', 'a name inside the archive', quote(name));
  return name;
}

/** Finds an entry's data behind its local header, which must say the same as the directory. */
function locate(source: ByteSource, central: Central, limit: number): ZipEntry {
  const { name, start, size, packedSize, method } = central;
  const label = `zip entry ${quote(name)}`;
  const outside = (end: number) =>
    refuse(
      'ERR_CHECKPOINT_ZIP_RANGE',
      label,
      `bytes before the central directory at ${limit}`,
      `${start} to ${end}`,
    );
  if (start + LOCAL_SIZE > limit) outside(start + LOCAL_SIZE);
  const local = viewOf(source, start, LOCAL_SIZE);
  const differs = (what: string) =>
    refuse(
      'ERR_CHECKPOINT_ZIP_LOCAL_HEADER',
      label,
      `the directory's ${what} in its local header`,
      'another',
    );
  if (local.getUint32(0, true) !== LOCAL_SIGNATURE) differs('signature');
  const nameLength = local.getUint16(26, true);
  const position = start + LOCAL_SIZE + nameLength + local.getUint16(28, true);
  if (position + packedSize > limit) outside(position + packedSize);
  const nameBytes = source.view(start + LOCAL_SIZE, nameLength);
  if (decodeName(nameBytes, central.flags) !== name) differs('name');
  if (local.getUint16(8, true) !== method) differs('method');
  if ((local.getUint16(6, true) & HAS_DESCRIPTOR) === 0) {
    const sizes = [local.getUint32(18, true), local.getUint32(22, true)];
    if (sizes[0] !== 0xffffffff && sizes[0] !== packedSize) differs('size');
    if (sizes[1] !== 0xffffffff && sizes[1] !== size) differs('size');
    if (local.getUint32(14, true) !== central.crc) differs('CRC-32');
  }
  return { name, start, position, packedSize, size, deflated: method === 8, crc: central.crc };
}

function checkOverlaps(entries: ZipEntry[]): void {
  entries.sort((a, b) => a.start - b.start);
  for (let i = 1; i < entries.length; i++) {
    const before = entries[i - 1]!;
    const after = entries[i]!;
    if (before.position + before.packedSize > after.start) {
      const actual = `${quote(before.name)} and ${quote(after.name)}`;
      refuse(
        'ERR_CHECKPOINT_ZIP_OVERLAP',
        'the zip archive',
        'entries with bytes of their own',
        `${actual} overlapping`,
      );
    }
  }
}

function viewOf(source: ByteSource, offset: number, length: number): DataView {
  const bytes = source.view(offset, length);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function wide(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  return value > BigInt(Number.MAX_SAFE_INTEGER)
    ? record('an offset below 2^53', String(value))
    : Number(value);
}

function record(expected: string, actual: string): never {
  refuse('ERR_CHECKPOINT_ZIP_RECORD', 'the zip archive', expected, actual);
}
