/** A pickle assembler for tests: each function gives the bytes of an opcode with its arguments, protocol 2. */
export type Part = Buffer | string;

export function join(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
}

export const NONE = 'N';
export const NO = Buffer.from([0x89]);

export function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return join('X', length, bytes);
}

export function int(value: number): Buffer {
  const bytes = Buffer.alloc(5, 'J');
  bytes.writeInt32LE(value, 1);
  return bytes;
}

export function float(value: number): Buffer {
  const bytes = Buffer.alloc(9, 'G');
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

export const global = (module: string, name: string): string => `c${module}\n${name}\n`;
export const tuple = (...items: readonly Part[]): Buffer => join('(', ...items, 't');
export const list = (...items: readonly Part[]): Buffer => join(']', '(', ...items, 'e');
export const dict = (...pairs: readonly Part[]): Buffer => join('}', '(', ...pairs, 'u');
export const call = (callable: Part, ...args: readonly Part[]): Buffer => join(callable, tuple(...args), 'R');
export const object = (module: string, name: string): Buffer =>
  join(global(module, name), ')', Buffer.from([0x81]));
export const pickle = (...body: readonly Part[]): Buffer => join(Buffer.from([0x80, 2]), ...body, '.');

/** A tensor of 16 floats at most, over the storage of a key. */
export function tensor(shape: readonly number[] = [4, 4], key = '0'): Buffer {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, side) => product * side, 1));
  const id = tuple(text('storage'), global('torch', 'FloatStorage'), text(key), text('cpu'), int(16));
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    join(id, 'Q'),
    int(0),
    tuple(...shape.map(int)),
    tuple(...strides.map(int)),
    NO,
    call(global('collections', 'OrderedDict')),
  );
}

const { packZip } = require('./mutations.cjs') as {
  packZip(entries: readonly { name: string; data: Buffer }[], options?: object): Buffer;
};

export const DATA = Buffer.from(Float32Array.from({ length: 16 }, (_, i) => i / 8).buffer);

/** A torch zip archive around a pickled value, with storages '0' (DATA) and more. */
export function archive(
  value: Part,
  storages: Readonly<Record<string, Buffer>> = { 0: DATA },
  options?: object,
): Buffer {
  const data = Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, data: bytes }));
  return packZip([{ name: 'archive/data.pkl', data: pickle(value) }, ...data], options);
}
