import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { memoryStats } from '../../lib/device';
import { native } from '../../lib/native';
import { Tensor } from '../../lib/tensor';
import { collectGarbage } from '../collect-garbage';
import {
  archive,
  call,
  DATA,
  dict,
  global,
  int,
  join as joined,
  NO,
  tensor,
  text,
  tuple,
} from './pickle-writer';

beforeAll(collectGarbage);

const GOLDENS = join(__dirname, '..', 'goldens', 'checkpoint');
const GIGABYTE = 2 ** 30;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-mapped-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function bytesOf(each: Tensor): Uint8Array {
  const data = each.dataSync();
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Writes parts at their places in a file of a given size; what lies between is a hole that takes no disk. */
function sparse(path: string, size: number, parts: readonly (readonly [number, Buffer])[]): void {
  const file = openSync(path, 'w');
  for (const [at, bytes] of parts) writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
  truncateSync(path, size);
}

/** Pages of a mapped file that were looked at count as resident: whoever reads 2 GB of it shows it there. */
async function frugally<T>(run: () => Promise<T>): Promise<T> {
  const before = process.memoryUsage().rss;
  const result = await run();
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20);
  return result;
}

const readable = readdirSync(GOLDENS).filter((name) => !name.startsWith('bad_'));

test.each(readable)('%s: tensors hold the same bytes as their entries', async (name) => {
  const file = readdirSync(join(GOLDENS, name)).find((each) => each.startsWith('checkpoint.'))!;
  const live = memoryStats().liveTensors;
  const checkpoint = await Checkpoint.open(join(GOLDENS, name, file));
  const inMemory = Checkpoint.fromBytes(readFileSync(join(GOLDENS, name, file))).stateDict({ raw: true });
  for (const entry of checkpoint.stateDict({ raw: true })) {
    for (const made of [entry.tensor(), inMemory.get(entry.name)!.tensor()]) {
      expect([made.dtype, [...made.shape]]).toEqual([entry.dtype, [...entry.shape]]);
      expect(Buffer.compare(bytesOf(made), entry.bytes())).toBe(0);
      made.dispose();
    }
  }
  checkpoint.close();
  expect(memoryStats().liveTensors).toBeLessThanOrEqual(live);
});

test('views lie in the mapping with the strides of the file', async () => {
  const checkpoint = await Checkpoint.open(join(GOLDENS, 'views_zip', 'checkpoint.pth'));
  const state = checkpoint.stateDict();
  for (const line of checkpoint.inspect().tensors.filter(({ bytes }) => bytes > 0)) {
    const made = state.get(line.name)!.tensor();
    expect(made.strides).toEqual(line.strides);
    made.dispose();
  }
  checkpoint.close();
});

test('tensors outlive the checkpoint', async () => {
  const checkpoint = await Checkpoint.open(join(GOLDENS, 'plain_state_dict_zip', 'checkpoint.pth'));
  const entry = checkpoint.stateDict().get('content_encoder.weight')!;
  const made = entry.tensor();
  const before = Buffer.from(entry.bytes());
  checkpoint.close();
  checkpoint.close();
  expect(Buffer.compare(bytesOf(made), before)).toBe(0);
  expect(() => entry.tensor()).toThrow(expect.objectContaining({ code: 'ERR_CHECKPOINT_CLOSED' }));
  made.dispose();
});

test('a tensor over the mapping keeps what was written to it after all else is gone', async () => {
  const path = join(folder, 'written');
  writeFileSync(path, Buffer.alloc(4096, 1));
  const open = () => {
    const { handle, buffer } = native().mapFile(path);
    new Uint8Array(buffer)[5] = 7;
    return { handle, made: new Tensor(native().tensorFromMapped(handle, 0, 'uint8', [8], [1])) };
  };
  const { handle, made } = open();
  await collectGarbage();
  native().unmapFile(handle);
  expect([...bytesOf(made)]).toEqual([1, 1, 1, 1, 1, 7, 1, 1]);
  made.dispose();
});

test('a safetensors file of 2 GB opens without reading its data', async () => {
  const path = join(folder, 'large.safetensors');
  const count = (2 * GIGABYTE) / 4;
  const header = JSON.stringify({
    large: { dtype: 'F32', shape: [count], data_offsets: [0, count * 4] },
    small: { dtype: 'F32', shape: [16], data_offsets: [count * 4, count * 4 + 64] },
  });
  const padded = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const data = 8 + padded.length;
  sparse(path, data + count * 4 + 64, [
    [0, Buffer.concat([length, padded])],
    [data + count * 4, DATA],
  ]);
  const { checkpoint, large, small } = await frugally(async () => {
    const opened = await Checkpoint.open(path);
    const state = opened.stateDict();
    return { checkpoint: opened, large: state.get('large')!.tensor(), small: state.get('small')!.tensor() };
  });
  expect(large.shape).toEqual([count]);
  const tail = large.slice(0, count - 2, count);
  expect(Array.from(tail.dataSync() as Float32Array)).toEqual([0, 0]);
  expect(Array.from(small.dataSync() as Float32Array)[15]).toBe(15 / 8);
  for (const each of [tail, large, small]) each.dispose();
  checkpoint.close();
});

test('a file above the longest buffer is read piece by piece', async () => {
  const path = join(folder, 'huge.safetensors');
  const bytes = 5 * GIGABYTE;
  const header = JSON.stringify({
    huge: { dtype: 'F32', shape: [bytes / 4], data_offsets: [0, bytes] },
    small: { dtype: 'F32', shape: [16], data_offsets: [bytes, bytes + 64] },
  }).padEnd(160);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(160n);
  sparse(path, 168 + bytes + 64, [
    [0, Buffer.concat([length, Buffer.from(header)])],
    [168 + bytes, DATA],
  ]);
  const checkpoint = await frugally(() => Checkpoint.open(path));
  const small = checkpoint.stateDict().get('small')!.tensor();
  expect(Array.from(small.dataSync() as Float32Array)[15]).toBe(15 / 8);
  expect(checkpoint.stateDict().get('huge')!.shape).toEqual([bytes / 4]);
  small.dispose();
  checkpoint.close();
  expect(() => checkpoint.stateDict()).toThrow(expect.objectContaining({ code: 'ERR_CHECKPOINT_CLOSED' }));
});

test('another file under the same name does not matter', async () => {
  const path = join(folder, 'replaced.pth');
  copyFileSync(join(GOLDENS, 'plain_state_dict_zip', 'checkpoint.pth'), path);
  const checkpoint = await Checkpoint.open(path);
  copyFileSync(join(GOLDENS, 'control_hand_made', 'checkpoint.pth'), `${path}.new`);
  renameSync(`${path}.new`, path);
  const made = checkpoint.stateDict().get('content_encoder.bias')!.tensor();
  expect(made.shape).toEqual([25]);
  made.dispose();
  checkpoint.close();
});

test('a torch zip file with a storage of 2 GB opens without reading it', async () => {
  const path = join(folder, 'large.pth');
  const count = (2 * GIGABYTE) / 4 - 1;
  const storage = tuple(text('storage'), global('torch', 'FloatStorage'), text('1'), text('cpu'), int(count));
  const hooks = call(global('collections', 'OrderedDict'));
  const large = call(
    global('torch._utils', '_rebuild_tensor_v2'),
    ...[joined(storage, 'Q'), int(0), tuple(int(count)), tuple(int(1)), NO, hooks],
  );
  // The large entry comes last and claims its size; the hole is put between its header and the directory.
  const size = count * 4;
  const claim = (name: string) => (name.endsWith('/1') ? { size, packed: size, crc: 1 } : {});
  const dense = archive(
    dict(text('w'), tensor(), text('large'), large),
    { 0: DATA, 1: Buffer.alloc(0) },
    { edit: claim },
  );
  const end = dense.length - 22;
  const directory = dense.readUInt32LE(end + 16);
  const tail = Buffer.from(dense.subarray(directory));
  tail.writeUInt32LE(directory + size, tail.length - 6);
  sparse(path, dense.length + size, [
    [0, dense.subarray(0, directory)],
    [directory + size, tail],
  ]);
  const checkpoint = await frugally(async () => {
    const opened = await Checkpoint.open(path);
    const small = opened.stateDict().get('w')!.tensor();
    expect(Array.from(small.dataSync() as Float32Array)[3]).toBe(3 / 8);
    small.dispose();
    return opened;
  });
  expect(checkpoint.inspect().tensors[1]).toMatchObject({ name: 'large', shape: [count], bytes: size });
  checkpoint.close();
});

test('a file that is cut while it is open is noticed before it is touched', async () => {
  const path = join(folder, 'cut.pth');
  copyFileSync(join(GOLDENS, 'plain_state_dict_zip', 'checkpoint.pth'), path);
  const checkpoint = await Checkpoint.open(path);
  const entry = checkpoint.stateDict().get('content_encoder.bias')!;
  truncateSync(path, 100);
  const changed = expect.objectContaining({ code: 'ERR_CHECKPOINT_FILE_CHANGED' });
  expect(() => entry.tensor()).toThrow(changed);
  expect(() => entry.bytes()).toThrow(changed);
  expect(() => checkpoint.verify()).toThrow(changed);
  checkpoint.close();
});

test('a flipped bit is found when the tensor is made', async () => {
  const checkpoint = await Checkpoint.open(join(GOLDENS, 'bad_crc_mismatch', 'checkpoint.pth'));
  const make = () => {
    for (const entry of checkpoint.stateDict()) entry.tensor().dispose();
  };
  expect(make).toThrow(expect.objectContaining({ code: 'ERR_CHECKPOINT_CRC' }));
  checkpoint.close();
});

test('errors name the file', async () => {
  const hostile = join(GOLDENS, 'bad_os_system_pkl', 'checkpoint.pkl');
  await expect(Checkpoint.open(hostile)).rejects.toMatchObject({ message: expect.stringContaining(hostile) });
  await expect(Checkpoint.open(join(folder, 'none.pth'))).rejects.toMatchObject({ code: 'ERR_FILE' });
  await expect(Checkpoint.open(folder)).rejects.toMatchObject({ code: 'ERR_FILE' });
  await expect(Checkpoint.open('')).rejects.toMatchObject({ code: 'ERR_TYPE' });
});
