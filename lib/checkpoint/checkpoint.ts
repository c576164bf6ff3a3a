import { invalidArgument } from '../errors';
import { renamedError } from './codes';
import type { CheckpointFormat, Contents } from './contents';
import { detectFormat } from './detect';
import {
  type Candidates,
  findAveraged,
  findStateDict,
  isTrainingState,
  type Location,
  onlyOne,
} from './find-state-dict';
import { type CheckpointSummary, summarize } from './inspect';
import { fromJson, type MetadataValue, toJson, toPlain } from './metadata';
import { type PyDict, PyTensor, type PyValue } from './pickle/values';
import { readPickleNumpy } from './pickle-numpy';
import { readSafetensors } from './safetensors';
import { type SaveOptions, saveSafetensors } from './save';
import { entriesOf, type StateDictOptions, select } from './selection';
import { type ByteSource, MemorySource, openSource } from './source';
import type { StateDict } from './state-dict';
import { readTorchLegacy } from './torch-legacy';
import { readTorchZip } from './torch-zip';

/** Options of {@link Checkpoint.save}: which tensors (default: all of the state dict, under their names in the file). */
export interface CheckpointSaveOptions extends StateDictOptions, SaveOptions {}

/** Metadata travels through safetensors files, which hold texts alone, as JSON under this key. */
const METADATA_KEY = 'freqfusion.metadata';

const READERS: Readonly<Record<CheckpointFormat, (source: ByteSource) => Contents>> = {
  'torch-zip': readTorchZip,
  'torch-legacy': readTorchLegacy,
  'pickle-numpy': readPickleNumpy,
  safetensors: readSafetensors,
};

/**
 * A checkpoint file, opened for reading: PyTorch (zip and legacy), detectron2 .pkl or safetensors. The file is
 * untrusted input: nothing in it is ever run or imported, every length and offset is checked, and whatever breaks a
 * rule is refused with a CheckpointError of that rule's code (see CHECKPOINT_RULES). Opening reads the header alone;
 * tensors are made when they are asked for and lie in the file's mapping where the layout allows.
 */
export class Checkpoint {
  /** The file's path, or the name given to fromBytes(). */
  readonly path: string;
  readonly format: CheckpointFormat;
  /** Bytes of the file. */
  readonly size: number;
  readonly #source: ByteSource;
  readonly #contents: Contents;
  readonly #candidates: Candidates;
  #metadata: { [key: string]: MetadataValue } | undefined;

  private constructor(source: ByteSource) {
    try {
      this.format = detectFormat(source);
      this.#contents = READERS[this.format](source);
      this.#candidates =
        this.format === 'safetensors' ? atTop(this.#contents.root) : findStateDict(this.#contents.root);
      if (this.#candidates.found !== undefined) entriesOf(this.#candidates.found, source);
    } catch (error) {
      source.close();
      throw renamedError(error, source.name);
    }
    this.path = source.name;
    this.size = source.size;
    this.#source = source;
  }

  /**
   * Opens a checkpoint file by mapping it into memory. Throws CheckpointError for a file that is damaged, hostile or
   * no checkpoint, and ERR_FILE for one that cannot be read.
   */
  static async open(path: string): Promise<Checkpoint> {
    if (typeof path !== 'string' || path === '') throw invalidArgument('ERR_TYPE', 'path', 'a path', path);
    return new Checkpoint(openSource(path));
  }

  /** The same for bytes in memory, which must not change while the checkpoint is in use. `name` stands in messages. */
  static fromBytes(bytes: ArrayBufferView | ArrayBuffer, options: { name?: string } = {}): Checkpoint {
    const view = ArrayBuffer.isView(bytes)
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      : Object.prototype.toString.call(bytes) === '[object ArrayBuffer]'
        ? new Uint8Array(bytes)
        : undefined;
    if (view === undefined)
      throw invalidArgument('ERR_TYPE', 'bytes', 'a typed array or an ArrayBuffer', bytes);
    return new Checkpoint(new MemorySource(view, options.name ?? '(memory)'));
  }

  /** Where the state dict was found: the keys that lead to it. Throws ERR_CHECKPOINT_AMBIGUOUS where there are several. */
  get stateDictAt(): readonly string[] {
    return this.#found().path;
  }

  /** Names of the state dict's tensors as they stand in the file, in its order. */
  names(): string[] {
    return this.stateDict({ raw: true }).names();
  }

  /** The model's weights. See {@link StateDictOptions}; the tensors are read when they are asked for. */
  stateDict(options: StateDictOptions = {}): StateDict {
    this.#source.check();
    return select(this.#contents.root, () => this.#found(), this.#source, options);
  }

  /** Everything in the file but the model's weights, as plain values: class names, epoch, configuration. */
  get metadata(): { readonly [key: string]: MetadataValue } {
    this.#metadata ??= this.#readMetadata();
    return this.#metadata;
  }

  /** What the file holds, for people and for `freqfusion inspect`. Does not read any tensor. */
  inspect(): CheckpointSummary {
    this.#source.check();
    const { found, others } = this.#candidates;
    const { entries, ignored } =
      found === undefined ? { entries: [], ignored: [] } : entriesOf(found, this.#source);
    const averaged = findAveraged(this.#contents.root);
    return summarize({
      path: this.path,
      format: this.format,
      size: this.size,
      stateDictAt: found?.path,
      candidates: [...others, ...(averaged === undefined ? [] : [averaged])].map(({ path }) => path),
      entries,
      ignored,
      root: this.#contents.root,
      metadata: this.metadata,
    });
  }

  /**
   * Writes the weights as a safetensors file, with the metadata that describes the model. Resolves to the bytes
   * written. Names stay as in the file unless `at`, `prefix`, `ema` or `raw: false` choose otherwise.
   */
  async save(path: string, options: CheckpointSaveOptions = {}): Promise<number> {
    const { metadata, dtype, ...choice } = options;
    const chosen = choice.at !== undefined || choice.prefix !== undefined || choice.ema !== undefined;
    const dict = this.stateDict({ ...choice, raw: choice.raw ?? !chosen });
    const texts = { format: 'pt', ...this.#texts(), ...metadata };
    return saveSafetensors(path, dict, { metadata: texts, ...(dtype === undefined ? {} : { dtype }) });
  }

  /** Reads every storage once and checks its CRC-32 where the format has one. Throws what a damaged part raises. */
  verify(): void {
    for (const storage of this.#contents.storages) storage.check();
    if (this.#candidates.found === undefined) return;
    for (const entry of entriesOf(this.#candidates.found, this.#source).entries) entry.bytes();
  }

  /** Gives the mapping up. Tensors that were made stay valid; entries that were not read yet can no longer be. */
  close(): void {
    this.#source.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #found(): Location {
    return onlyOne(this.#candidates);
  }

  #readMetadata(): { [key: string]: MetadataValue } {
    const { root, texts } = this.#contents;
    if (texts !== undefined) {
      const { [METADATA_KEY]: json, ...others } = texts;
      return { ...others, ...(json === undefined ? {} : fromJson(json)) };
    }
    const left = new Set<PyValue>();
    for (const place of [this.#candidates.found, ...this.#candidates.others, findAveraged(root)]) {
      if (place !== undefined && place.path.length > 0) left.add(place.dict);
      if (place?.path.length === 0)
        for (const value of place.dict.entries.values()) if (value instanceof PyTensor) left.add(value);
    }
    const plain = toPlain(root, left);
    return plain instanceof Map ? { entries: plain } : (plain as { [key: string]: MetadataValue });
  }

  #texts(): Record<string, string> {
    if (this.#contents.texts !== undefined) return { ...this.#contents.texts };
    const kept = Object.entries(this.metadata).filter(([key]) => !isTrainingState(key));
    const json = toJson(Object.fromEntries(kept));
    return json === undefined ? {} : { [METADATA_KEY]: json };
  }
}

function atTop(root: PyValue): Candidates {
  return { found: { path: [], dict: root as PyDict }, others: [] };
}
