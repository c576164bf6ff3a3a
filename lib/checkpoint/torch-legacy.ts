import { quote, refuse } from './codes';
import { type Contents, finish, newContext } from './contents';
import { unpickle } from './pickle/machine';
import {
  kindOf,
  type PickleContext,
  PyDict,
  PyGlobal,
  PyList,
  PyStorage,
  PyTuple,
  type PyValue,
  textOf,
} from './pickle/values';
import type { ByteSource } from './source';
import type { Storage } from './storage';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** Pickles of legacy files hold no elements; what follows them may be larger than a typed array. */
const MAX_PICKLE = 64 << 20;

/** The magic number as a pickle of protocol 2 or later has it: LONG1, ten bytes, the number, STOP. */
const MAGIC_PICKLED = Buffer.from('8a0a6cfc9c46f9206aa850192e', 'hex');

/** True for the first bytes of a legacy file: PROTO, in newer protocols a FRAME, and the magic number, perhaps cut. */
export function startsAsLegacy(head: Buffer): boolean {
  if (head[0] !== 0x80 || head[1] === undefined) return false;
  const number = head.subarray(head[2] === 0x95 ? 11 : 2, (head[2] === 0x95 ? 11 : 2) + MAGIC_PICKLED.length);
  return number.length >= 2 && number.equals(MAGIC_PICKLED.subarray(0, number.length));
}

/**
 * Reads PyTorch's format before 1.6: five pickles (magic number, protocol, system, value, storage keys), then each
 * storage in the keys' order as an element count of eight bytes and the elements, little-endian.
 */
export function readTorchLegacy(source: ByteSource): Contents {
  const context = newContext(source, source.size);
  const storages = new LegacyStorages(source);
  let at = 0;
  const next = (persistent?: (id: PyValue) => PyValue): PyValue => {
    const input = { bytes: source.view(at, Math.min(source.size - at, MAX_PICKLE)), position: at };
    const { value, end } = whole(source, () => unpickle(input, context, persistent));
    at += end;
    return value;
  };
  const magic = next();
  if (magic !== MAGIC) wrongHeader('the magic number', `0x${MAGIC.toString(16)}`, magic);
  const protocol = next();
  if (protocol !== PROTOCOL) wrongHeader('the protocol', String(PROTOCOL), protocol);
  const system = next();
  if (!(system instanceof PyDict)) wrongHeader('the system record', 'a dict', system);
  if (system.entries.get('little_endian') === false) {
    refuse(
      'ERR_CHECKPOINT_BYTE_ORDER',
      'a legacy file',
      'one from a little-endian machine',
      'one from a big-endian machine',
    );
  }
  const root = next((id) => storages.load(id));
  const keys = next();
  if (!(keys instanceof PyList)) wrongHeader('the list of storage keys', 'a list', keys);
  storages.place(keys.items, at, context);
  return finish({ format: 'torch-legacy', root, storages: storages.all() }, context);
}

/** A legacy file goes on after each of its pickles: one that lacks nothing but STOP was cut there. */
function whole<T>(source: ByteSource, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_CHECKPOINT_PICKLE_NO_STOP') throw error;
    return refuse(
      'ERR_CHECKPOINT_TRUNCATED',
      'a legacy file',
      'five pickles',
      `the end after ${source.size} bytes`,
    );
  }
}

/** A storage whose place is known once the whole pickle has been read: the data come after it. */
class LegacyStorage implements Storage {
  readonly bigEndian = false;
  position: number | undefined;

  constructor(
    readonly source: ByteSource,
    readonly id: string,
    readonly count: number,
    readonly element: number,
  ) {}

  get length(): number {
    return this.count * this.element;
  }

  check(): void {
    this.source.check();
  }

  view(start: number, length: number): Uint8Array {
    this.check();
    return this.source.view(this.position! + start, length);
  }
}

class LegacyStorages {
  readonly #source: ByteSource;
  readonly #made = new Map<string, LegacyStorage>();

  constructor(source: ByteSource) {
    this.#source = source;
  }

  all(): LegacyStorage[] {
    return [...this.#made.values()];
  }

  /** ('storage', storage class, key, location, element count, view): a view is (key, first element, count) or None. */
  load(id: PyValue): PyValue {
    const [kind, type, keyValue, , count, view] = id instanceof PyTuple ? id.items : [];
    // ('module', class, file, source code): a module's class, beside whose objects its code was kept.
    if (kind !== undefined && textOf(kind) === 'module' && type instanceof PyGlobal) return type;
    const key = keyValue === undefined ? undefined : textOf(keyValue);
    const valid =
      kind !== undefined && textOf(kind) === 'storage' && type instanceof PyGlobal && key !== undefined;
    if (!valid || type.role.kind !== 'storage') {
      const expected = "('storage', type, key, location, count, view)";
      refuse('ERR_CHECKPOINT_PICKLE_PERSISTENT_ID', 'a persistent id', expected, kindOf(id));
    }
    if (typeof count !== 'number' || count < 0) {
      refuse(
        'ERR_CHECKPOINT_STORAGE_SIZE',
        `storage ${quote(key)}`,
        'an element count from 0',
        kindOf(count),
      );
    }
    const { dtype, bytes: element } = type.role;
    if (element === undefined) {
      // The bytes of such a storage cannot be counted, so nothing behind it can be found either.
      refuse('ERR_CHECKPOINT_ELEMENT_TYPE', `storage ${quote(key)}`, 'a known element type', type.path);
    }
    const known = this.#made.get(key);
    if (known !== undefined && (known.count !== count || known.element !== element)) {
      const actual = `${count} of ${type.path}`;
      refuse(
        'ERR_CHECKPOINT_STORAGE_SIZE',
        `storage ${quote(key)}`,
        `${known.count} elements as before`,
        actual,
      );
    }
    const storage = known ?? new LegacyStorage(this.#source, key, count, element);
    this.#made.set(key, storage);
    const start = view instanceof PyTuple ? view.items[1] : 0;
    if (typeof start !== 'number' || start < 0) {
      refuse(
        'ERR_CHECKPOINT_OFFSET',
        `a view of storage ${quote(key)}`,
        'a first element from 0',
        kindOf(start),
      );
    }
    return new PyStorage(storage, dtype, start, type.path);
  }

  /** Walks over the data behind the pickles, storage by storage, without touching the elements. */
  place(keys: readonly PyValue[], from: number, context: PickleContext): void {
    context.charge(keys.length);
    let at = from;
    for (const value of keys) {
      const key = textOf(value);
      const storage = key === undefined ? undefined : this.#made.get(key);
      if (storage === undefined || storage.position !== undefined) {
        wrongHeader('the list of storage keys', 'each storage of the tensors once', value);
      }
      if (at + 8 > this.#source.size) cut(storage, at);
      const head = this.#source.view(at, 8);
      const count = new DataView(head.buffer, head.byteOffset, 8).getBigInt64(0, true);
      if (count !== BigInt(storage.count)) {
        refuse(
          'ERR_CHECKPOINT_STORAGE_SIZE',
          `storage ${quote(storage.id)}`,
          `${storage.count} elements`,
          `${count}`,
        );
      }
      storage.position = at + 8;
      at = storage.position + storage.length;
      if (at > this.#source.size) cut(storage, storage.position);
    }
    for (const storage of this.#made.values()) {
      if (storage.position === undefined) {
        refuse(
          'ERR_CHECKPOINT_STORAGE_MISSING',
          'the list of storage keys',
          `key ${quote(storage.id)}`,
          'none',
        );
      }
    }
  }
}

function cut(storage: LegacyStorage, at: number): never {
  refuse(
    'ERR_CHECKPOINT_TRUNCATED',
    `storage ${quote(storage.id)}`,
    `${storage.length} bytes at ${at}`,
    'the end of the file: it is cut. Download or copy it again',
  );
}

function wrongHeader(what: string, expected: string, actual: PyValue): never {
  const shown = typeof actual === 'number' || typeof actual === 'bigint' ? String(actual) : kindOf(actual);
  refuse('ERR_CHECKPOINT_LEGACY_HEADER', `${what} of a legacy file`, expected, shown);
}
