import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { archive, DATA, dict, pickle, tensor, text } from './pickle-writer';

const WEIGHTS = dict(text('w'), tensor());
const END = 22;

function codeOf(bytes: Buffer): string {
  try {
    for (const entry of Checkpoint.fromBytes(bytes).stateDict()) entry.bytes();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}

function edited(
  change: (bytes: Buffer, directory: number, end: number) => void,
  bytes = archive(WEIGHTS),
): Buffer {
  const end = bytes.length - END;
  change(bytes, bytes.readUInt32LE(end + 16), end);
  return bytes;
}

/** The same archive with its directory's place and counts in the records of zip64. */
function asZip64(bytes: Buffer): Buffer {
  const end = bytes.length - END;
  const [count, size, offset] = [
    bytes.readUInt16LE(end + 10),
    bytes.readUInt32LE(end + 12),
    bytes.readUInt32LE(end + 16),
  ];
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(size), 40);
  record.writeBigUInt64LE(BigInt(offset), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(end), 8);
  locator.writeUInt32LE(1, 16);
  const tail = Buffer.from(bytes.subarray(end));
  tail.fill(0xff, 8, 20);
  return Buffer.concat([bytes.subarray(0, end), record, locator, tail]);
}

test('zip64 records are read', () => {
  const checkpoint = Checkpoint.fromBytes(asZip64(archive(WEIGHTS)));
  expect(Buffer.from(checkpoint.stateDict().get('w')!.bytes())).toEqual(DATA);
});

test('a zip64 record that disagrees with the plain one is refused', () => {
  const bytes = asZip64(archive(WEIGHTS));
  bytes.writeUInt16LE(7, bytes.length - END + 10);
  expect(codeOf(bytes)).toBe('ERR_CHECKPOINT_ZIP_RECORD');
});

test('a comment behind the directory is allowed, other bytes are not', () => {
  const commented = edited((bytes, _directory, end) => bytes.writeUInt16LE(5, end + 20));
  expect(codeOf(Buffer.concat([commented, Buffer.from('hello')]))).toBe('none');
  expect(codeOf(Buffer.concat([commented, Buffer.from('hello, world')]))).toBe(
    'ERR_CHECKPOINT_ZIP_NO_DIRECTORY',
  );
});

test('an archive without any checksum is read, as torch writes it on request', () => {
  expect(codeOf(archive(WEIGHTS, { 0: DATA }, { sum: () => 0 }))).toBe('none');
  const one = archive(
    WEIGHTS,
    { 0: DATA },
    { edit: (name: string) => (name.endsWith('0') ? { crc: 0 } : {}) },
  );
  expect(codeOf(one)).toBe('ERR_CHECKPOINT_CRC');
});

test('the checksum of a storage is looked at when one of its tensors is read, not before', () => {
  const bytes = archive(WEIGHTS);
  bytes[bytes.indexOf(DATA) + 3]! ^= 0x40;
  const entry = Checkpoint.fromBytes(bytes).stateDict().get('w')!;
  expect(entry.shape).toEqual([4, 4]);
  expect(() => entry.bytes()).toThrow(expect.objectContaining({ code: 'ERR_CHECKPOINT_CRC' }));
});

test('a damaged pickle is refused by its checksum', () => {
  const bytes = archive(WEIGHTS);
  bytes[bytes.indexOf('FloatStorage')]! ^= 1;
  expect(codeOf(bytes)).toBe('ERR_CHECKPOINT_CRC');
});

test.each([
  [
    'a directory offset past the end',
    (b: Buffer, _d: number, e: number) => b.writeUInt32LE(0xfffffff0, e + 16),
    'ERR_CHECKPOINT_ZIP_RECORD',
  ],
  [
    'more entries than the directory can hold',
    (b: Buffer, _d: number, e: number) => b.writeUInt32LE(0x7fff7fff, e + 8),
    'ERR_CHECKPOINT_ZIP_RECORD',
  ],
  [
    'several disks',
    (b: Buffer, _d: number, e: number) => b.writeUInt16LE(1, e + 4),
    'ERR_CHECKPOINT_ZIP_RECORD',
  ],
  ['a broken entry', (b: Buffer, d: number) => b.writeUInt32LE(0, d), 'ERR_CHECKPOINT_ZIP_RECORD'],
  [
    'a name that reaches past the directory',
    (b: Buffer, d: number) => b.writeUInt16LE(0xffff, d + 28),
    'ERR_CHECKPOINT_ZIP_RECORD',
  ],
  [
    'stored data of two sizes',
    (b: Buffer, d: number) => b.writeUInt32LE(1, d + 20),
    'ERR_CHECKPOINT_ZIP_RECORD',
  ],
  [
    'a zip64 field that is not there',
    (b: Buffer, d: number) => b.writeUInt32LE(0xffffffff, d + 42),
    'ERR_CHECKPOINT_ZIP_RANGE',
  ],
  [
    'no local header',
    (b: Buffer, d: number) => b.writeUInt32LE(7, d + 42),
    'ERR_CHECKPOINT_ZIP_LOCAL_HEADER',
  ],
  ['a local size that differs', (b: Buffer) => b.writeUInt32LE(5, 18), 'ERR_CHECKPOINT_ZIP_LOCAL_HEADER'],
])('%s is refused', (_what, change, code) => {
  expect(codeOf(edited(change))).toBe(code);
});

test('names with .. or a leading slash are refused even for entries that nobody reads', () => {
  const bytes = archive(WEIGHTS, { 0: DATA, '../../x': DATA });
  expect(codeOf(bytes)).toBe('ERR_CHECKPOINT_ZIP_NAME');
});

test('data.pkl may stand at the top', () => {
  const { packZip } = require('./mutations.cjs');
  expect(
    codeOf(
      packZip([
        { name: 'data.pkl', data: pickle(WEIGHTS) },
        { name: 'data/0', data: DATA },
      ]),
    ),
  ).toBe('none');
});
