import { quote, refuse } from './codes';
import { type Contents, finish, newContext } from './contents';
import { unpickle } from './pickle/machine';
import { kindOf, PyGlobal, PyStorage, PyTuple, type PyValue, textOf } from './pickle/values';
import type { ByteSource } from './source';
import { readPacked, ZipStorage } from './storage';
import { readZip, type ZipEntry } from './zip';

const PICKLE = 'data.pkl';
const MAX_INFLATED_PICKLE = 64 << 20;
const BOMB_SIZE = 16 << 20;
const BOMB_RATIO = 100;

/** Reads PyTorch's zip format (torch.save since 1.6): ROOT/data.pkl, ROOT/data/KEY, ROOT/byteorder. */
export function readTorchZip(source: ByteSource): Contents {
  const entries = readZip(source);
  const root = findRoot(entries);
  const pickle = entries.get(`${root}${PICKLE}`)!;
  if (pickle.deflated && pickle.size > MAX_INFLATED_PICKLE) {
    refuse(
      'ERR_CHECKPOINT_ZIP_BOMB',
      PICKLE,
      `at most ${MAX_INFLATED_PICKLE} bytes when inflated`,
      `${pickle.size}`,
    );
  }
  const bytes = readPacked(source, pickle);
  const context = newContext(source, bytes.length);
  const storages = new Storages(source, entries, root);
  const input = { bytes, position: pickle.deflated ? undefined : pickle.position };
  const { value } = unpickle(input, context, (id) => storages.load(id));
  return finish({ format: 'torch-zip', root: value, storages: storages.all() }, context);
}

/** The root folder with its slash; '' where data.pkl stands at the top. */
function findRoot(entries: ReadonlyMap<string, ZipEntry>): string {
  const names = [...entries.keys()];
  const pickles = names.filter((name) => name === PICKLE || /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length > 1) {
    refuse(
      'ERR_CHECKPOINT_ZIP_ROOTS',
      'the zip archive',
      'one data.pkl',
      pickles.slice(0, 4).map(quote).join(' and '),
    );
  }
  const script = names.find((name) => /^([^/]+\/)?(constants\.pkl|code\/.*)$/.test(name));
  if (script !== undefined) {
    refuse(
      'ERR_CHECKPOINT_TORCHSCRIPT',
      'the file',
      'a state dict',
      `a TorchScript program (it has ${quote(script)})`,
      'Load it in Python with torch.jit.load() and save its state_dict() with torch.save()',
    );
  }
  const found = pickles[0];
  if (found === undefined) {
    refuse(
      'ERR_CHECKPOINT_NO_PICKLE',
      'the zip archive',
      'a data.pkl, as torch.save() writes',
      `${names.length} other entries`,
    );
  }
  return found.slice(0, -PICKLE.length);
}

/** Turns persistent ids into storages, one for each key. */
class Storages {
  readonly #source: ByteSource;
  readonly #entries: ReadonlyMap<string, ZipEntry>;
  readonly #root: string;
  readonly #bigEndian: boolean;
  readonly #made = new Map<string, ZipStorage>();

  constructor(source: ByteSource, entries: ReadonlyMap<string, ZipEntry>, root: string) {
    this.#source = source;
    this.#entries = entries;
    this.#root = root;
    this.#bigEndian = isBigEndian(source, entries.get(`${root}byteorder`));
  }

  all(): ZipStorage[] {
    return [...this.#made.values()];
  }

  /** ('storage', storage class, key, location, element count); the location is where it was, and of no concern. */
  load(id: PyValue): PyStorage {
    const [kind, type, keyValue, , count] = id instanceof PyTuple ? id.items : [];
    const key = keyValue === undefined ? undefined : textOf(keyValue);
    const valid =
      kind !== undefined && textOf(kind) === 'storage' && type instanceof PyGlobal && key !== undefined;
    if (!valid || type.role.kind !== 'storage') {
      const actual = kind !== undefined && textOf(kind) !== undefined ? quote(textOf(kind)!) : kindOf(id);
      refuse(
        'ERR_CHECKPOINT_PICKLE_PERSISTENT_ID',
        'a persistent id',
        "('storage', type, key, location, count)",
        actual,
      );
    }
    const { dtype } = type.role;
    if (typeof count !== 'number' || count < 0) {
      refuse(
        'ERR_CHECKPOINT_STORAGE_SIZE',
        `storage ${quote(key)}`,
        'an element count from 0',
        String(kindOf(count)),
      );
    }
    return new PyStorage(this.#storage(key, count * (type.role.bytes ?? 1)), dtype, 0, type.path);
  }

  #storage(key: string, length: number): ZipStorage {
    const made = this.#made.get(key);
    if (made !== undefined && made.length >= length) return made;
    const entry = this.#find(key);
    if (entry.size < length) {
      refuse(
        'ERR_CHECKPOINT_STORAGE_SIZE',
        `storage ${quote(key)}`,
        `${length} bytes`,
        `an entry of ${entry.size}`,
      );
    }
    const bomb = entry.size > BOMB_SIZE && entry.size > BOMB_RATIO * entry.packedSize;
    if (entry.deflated && (bomb || entry.size !== length)) {
      const expected = bomb
        ? `deflated data of a ratio up to ${BOMB_RATIO}`
        : `the declared ${length} bytes when inflated`;
      refuse(
        'ERR_CHECKPOINT_ZIP_BOMB',
        `storage ${quote(key)}`,
        expected,
        `${entry.packedSize} for ${entry.size} bytes`,
      );
    }
    const storage = new ZipStorage(this.#source, entry, length, this.#bigEndian);
    this.#made.set(key, storage);
    return storage;
  }

  #find(key: string): ZipEntry {
    if (!/^[\w-][\w.-]*$/.test(key)) {
      refuse(
        'ERR_CHECKPOINT_STORAGE_KEY',
        'a storage key',
        "the name of an entry in the archive's data folder",
        quote(key),
      );
    }
    const name = `${this.#root}data/${key}`;
    const entry = this.#entries.get(name);
    if (entry === undefined)
      refuse('ERR_CHECKPOINT_STORAGE_MISSING', 'the zip archive', `entry ${quote(name)}`, 'none');
    return entry;
  }
}

function isBigEndian(source: ByteSource, entry: ZipEntry | undefined): boolean {
  if (entry === undefined) return false;
  const order = entry.size > 16 ? '' : Buffer.from(readPacked(source, entry)).toString('latin1');
  if (order !== 'little' && order !== 'big') {
    refuse('ERR_CHECKPOINT_BYTE_ORDER', 'the byteorder entry', "'little' or 'big'", quote(order));
  }
  return order === 'big';
}
