import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { Tensor } from '../tensor';
import { quote, refuse } from './codes';
import { elementBytes, makeTensor } from './elements';
import { findAveraged, type Location, locate } from './find-state-dict';
import type { TensorSpec } from './geometry';
import { PyArray, PyDict, PyOpaque, PyTensor, PyUnsupported, type PyValue } from './pickle/values';
import type { ByteSource } from './source';
import { renamed, StateDict, type StateDictEntry } from './state-dict';

/** Which tensors of a checkpoint are wanted, and under which names. */
export interface StateDictOptions {
  /** Where the state dict lies: keys in a list, or joined by dots. Default: found by the rules of docs/checkpoints.md. */
  at?: string | readonly string[];
  /** Only names with this prefix, which is taken off. Applied after `module.` has been stripped. */
  prefix?: string;
  /**
   * True: the averaged weights (EMA); false: the weights that were trained. Default: what the file's framework loads,
   * which is `state_dict`, with mmcv's `ema_*` shadows left out.
   */
  ema?: boolean;
  /** True: every tensor under its name in the file: no `module.` stripped, no shadows left out. Default: false. */
  raw?: boolean;
}

/** A tensor of the file: its layout is known, its bytes are not touched yet. */
export class FileEntry implements StateDictEntry {
  constructor(
    readonly name: string,
    readonly spec: TensorSpec,
    readonly source: ByteSource,
  ) {}

  get dtype(): DType {
    return this.spec.dtype;
  }

  get shape(): readonly number[] {
    return this.spec.shape;
  }

  tensor(): Tensor {
    return makeTensor(this.spec, this.source, `tensor ${quote(this.name)}`);
  }

  bytes(): Uint8Array {
    this.source.check();
    return elementBytes(this.spec, `tensor ${quote(this.name)}`);
  }
}

/** The entries of a state dict as the file has them, and the keys whose values are no tensors. */
export interface RawEntries {
  readonly entries: readonly FileEntry[];
  readonly ignored: readonly string[];
}

/** Lists the tensors of a dictionary. Refuses objects of unknown classes and tensors that cannot be represented. */
export function entriesOf({ dict }: Location, source: ByteSource): RawEntries {
  const entries: FileEntry[] = [];
  const ignored: string[] = [];
  for (const [key, value] of dict.entries) {
    const spec = typeof key === 'string' ? specOf(key, value) : undefined;
    if (spec !== undefined) entries.push(new FileEntry(key as string, spec, source));
    else ignored.push(typeof key === 'string' ? key : String(key));
  }
  return { entries, ignored };
}

function specOf(key: string, value: PyValue): TensorSpec | undefined {
  if (value instanceof PyTensor) return value.spec;
  // Modules keep whatever they like under this name; it is never a parameter.
  if (/(^|\.)_extra_state$/.test(key)) return undefined;
  const content = value instanceof PyArray ? value.content : value;
  if (value instanceof PyArray && content === undefined) {
    return refuse(
      'ERR_CHECKPOINT_NUMPY_DATA',
      `array ${quote(key)}`,
      'bytes',
      'an array that was never filled',
    );
  }
  if (content instanceof PyUnsupported) {
    return refuse(
      'ERR_CHECKPOINT_ELEMENT_TYPE',
      `tensor ${quote(key)}`,
      'a dense tensor of a common type',
      content.what,
    );
  }
  if (content instanceof PyOpaque) {
    const way = 'Save the weights alone with torch.save(model.state_dict(), path)';
    return refuse(
      'ERR_CHECKPOINT_UNKNOWN_CLASS',
      `key ${quote(key)}`,
      'a tensor',
      `an object of ${quote(content.className)}`,
      way,
    );
  }
  return value instanceof PyArray ? (content as TensorSpec) : undefined;
}

/** Picks, filters and renames by the options. `found` gives the default place, or throws where there are several. */
export function select(
  root: PyValue,
  found: () => Location,
  source: ByteSource,
  options: StateDictOptions,
): StateDict {
  const { at, prefix = '', ema, raw = false } = options;
  checkOptions(options);
  if (at !== undefined && ema !== undefined) {
    throw invalidArgument(
      'ERR_CHECKPOINT_AT',
      'at',
      'no at beside the option ema, which chooses the place itself',
      at,
    );
  }
  const averaged = findAveraged(root);
  const swapped = averaged?.path[0] === 'ema_state_dict' && isMmengine(root);
  const useAveraged = averaged !== undefined && ema !== undefined && ema !== swapped;
  const place = at !== undefined ? locate(root, at) : useAveraged ? averaged : found();
  const { entries, ignored } = entriesOf(place, source);
  if (raw) return cut(new StateDict(entries, ignored), prefix);
  const plain = stripModule(entries);
  const shadows = findShadows(plain);
  if (ema === true && averaged === undefined && shadows.size === 0) {
    throw invalidArgument(
      'ERR_CHECKPOINT_NO_EMA',
      'ema',
      'false or nothing: the file has no averaged weights',
      ema,
    );
  }
  const kept = plain.filter(
    (entry) => !shadows.has(entry.name) && !(useAveraged && swapped && entry.name === 'steps'),
  );
  const chosen = ema === false ? trained(kept, shadows) : kept;
  return cut(new StateDict(chosen, ignored), prefix);
}

function checkOptions({ at, prefix, ema, raw }: StateDictOptions): void {
  const isPath =
    at === undefined ||
    typeof at === 'string' ||
    (Array.isArray(at) && at.every((key) => typeof key === 'string'));
  if (!isPath) throw invalidArgument('ERR_TYPE', 'at', 'a text or a list of texts', at);
  if (prefix !== undefined && typeof prefix !== 'string')
    throw invalidArgument('ERR_TYPE', 'prefix', 'a text', prefix);
  if (ema !== undefined && typeof ema !== 'boolean')
    throw invalidArgument('ERR_TYPE', 'ema', 'a boolean', ema);
  if (raw !== undefined && typeof raw !== 'boolean')
    throw invalidArgument('ERR_TYPE', 'raw', 'a boolean', raw);
}

function cut(dict: StateDict, prefix: string): StateDict {
  const inside = dict.withPrefix(prefix);
  if (inside.size === 0 && dict.size > 0) {
    const example = dict.names()[0]!;
    throw invalidArgument(
      'ERR_CHECKPOINT_PREFIX',
      'prefix',
      `the beginning of a name such as ${quote(example)}`,
      prefix,
    );
  }
  return inside;
}

/** DataParallel puts `module.` before every name; it is taken off where no name lacks it. */
function stripModule(entries: readonly StateDictEntry[]): readonly StateDictEntry[] {
  const wrapper = 'module.';
  const own = entries.filter(({ name }) => name !== 'steps');
  if (own.length === 0 || !own.every(({ name }) => name.startsWith(wrapper))) return entries;
  return entries.map((entry) =>
    entry.name === 'steps' ? entry : renamed(entry, entry.name.slice(wrapper.length)),
  );
}

/**
 * mmcv's EMAHook keeps a second copy of each parameter, `a.b.weight` as `ema_a_b_weight`, and swaps both before it
 * saves: in files the plain name holds the average and the shadow the trained value. Maps shadows to their entries.
 */
function findShadows(entries: readonly StateDictEntry[]): Map<string, StateDictEntry> {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const shadows = new Map<string, StateDictEntry>();
  for (const { name } of entries) {
    const shadow = byName.get(shadowOf(name));
    if (shadow !== undefined) shadows.set(shadow.name, shadow);
  }
  return shadows;
}

function shadowOf(name: string): string {
  return `ema_${name.replaceAll('.', '_')}`;
}

function trained(
  entries: readonly StateDictEntry[],
  shadows: ReadonlyMap<string, StateDictEntry>,
): StateDictEntry[] {
  return entries.map((entry) => {
    const shadow = shadows.get(shadowOf(entry.name));
    return shadow === undefined ? entry : renamed(shadow, entry.name);
  });
}

/** mmengine swaps as well, between two dictionaries: `state_dict` is the average, `ema_state_dict` was trained. */
function isMmengine(root: PyValue): boolean {
  if (!(root instanceof PyDict)) return false;
  const meta = root.entries.get('meta');
  return root.entries.has('message_hub') || (meta instanceof PyDict && meta.entries.has('mmengine_version'));
}
