import { DTYPE_BYTES, type DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { Tensor } from '../tensor';

/** One tensor of a state dict, read when it is asked for. */
export interface StateDictEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** A new handle on the tensor, on the CPU, which the caller owns. Shares the file's memory where the layout allows. */
  tensor(): Tensor;
  /** The elements in C order, little-endian. Needs no addon for a tensor of a file. May be a view of it: do not write. */
  bytes(): Uint8Array;
}

/** Named tensors in the file's order: what a module's `loadStateDict` takes. */
export class StateDict implements Iterable<StateDictEntry> {
  /** Keys whose values are not tensors (numbers, texts, None): they are no parameters and are left out. */
  readonly ignored: readonly string[];
  readonly #entries: ReadonlyMap<string, StateDictEntry>;

  /** @internal */
  constructor(entries: Iterable<StateDictEntry>, ignored: readonly string[] = []) {
    this.#entries = new Map(Array.from(entries, (entry) => [entry.name, entry]));
    this.ignored = ignored;
  }

  /** Wraps tensors by name. The tensors stay the caller's own and must outlive the state dict. */
  static from(record: Readonly<Record<string, Tensor>> | StateDict): StateDict {
    if (record instanceof StateDict) return record;
    if (typeof record !== 'object' || record === null) {
      throw invalidArgument('ERR_TYPE', 'state dict', 'a StateDict or an object of tensors', record);
    }
    return new StateDict(Object.entries(record).map(([name, tensor]) => entryOf(name, tensor)));
  }

  /** Number of tensors. */
  get size(): number {
    return this.#entries.size;
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  get(name: string): StateDictEntry | undefined {
    return this.#entries.get(name);
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  [Symbol.iterator](): IterableIterator<StateDictEntry> {
    return this.#entries.values();
  }

  /** The entries whose names begin with a prefix, with the prefix taken off. Empty where no name has it. */
  withPrefix(prefix: string): StateDict {
    if (prefix === '') return this;
    const kept = [...this].filter((entry) => entry.name.startsWith(prefix));
    return new StateDict(kept.map((entry) => renamed(entry, entry.name.slice(prefix.length))));
  }
}

/** @internal The same entry under another name. */
export function renamed(entry: StateDictEntry, name: string): StateDictEntry {
  return {
    name,
    dtype: entry.dtype,
    shape: entry.shape,
    tensor: () => entry.tensor(),
    bytes: () => entry.bytes(),
  };
}

/** @internal Bytes of a tensor's elements written out in C order. */
export function byteLengthOf(entry: Pick<StateDictEntry, 'dtype' | 'shape'>): number {
  return entry.shape.reduce((product, side) => product * side, DTYPE_BYTES[entry.dtype]);
}

function entryOf(name: string, tensor: Tensor): StateDictEntry {
  if (typeof tensor?.dataSync !== 'function') throw invalidArgument('ERR_TYPE', name, 'a Tensor', tensor);
  return {
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    // A second handle on the same memory: callers may dispose of what tensor() gives them.
    tensor: () => tensor.to('cpu'),
    bytes: () => {
      const data = tensor.dataSync();
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    },
  };
}
