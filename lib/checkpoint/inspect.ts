import { DTYPE_BYTES, type DType } from '../dtype';
import type { CheckpointFormat } from './contents';
import { countOf } from './geometry';
import { type MetadataValue, opaqueClasses } from './metadata';
import type { PyValue } from './pickle/values';
import type { FileEntry } from './selection';

/** One tensor in a summary. */
export interface TensorLine {
  name: string;
  dtype: DType;
  shape: number[];
  /** In elements. */
  strides: number[];
  /** Bytes when written out. */
  bytes: number;
}

/** What `Checkpoint.inspect()` gives: plain data, fit for JSON but for `metadata`. */
export interface CheckpointSummary {
  path: string;
  format: CheckpointFormat;
  /** Bytes of the file. */
  size: number;
  /** Keys that lead to the state dict; null where there are several to choose from (see candidates). */
  stateDictAt: string[] | null;
  /** Other places that `at` can name: further state dicts, averaged weights. */
  candidates: string[][];
  tensors: TensorLine[];
  /** Elements of all tensors; those that share a storage count each time. */
  elements: number;
  /** Groups of names whose tensors share a storage. */
  shared: string[][];
  /** Keys of the state dict whose values are no tensors. */
  ignored: string[];
  /** Classes whose objects became placeholders. */
  opaqueClasses: string[];
  metadata: { readonly [key: string]: MetadataValue };
}

interface SummaryInput {
  readonly path: string;
  readonly format: CheckpointFormat;
  readonly size: number;
  readonly stateDictAt: readonly string[] | undefined;
  readonly candidates: readonly (readonly string[])[];
  readonly entries: readonly FileEntry[];
  readonly ignored: readonly string[];
  readonly root: PyValue;
  readonly metadata: { readonly [key: string]: MetadataValue };
}

/** @internal Sums a checkpoint up without reading a tensor. */
export function summarize(input: SummaryInput): CheckpointSummary {
  const { entries } = input;
  return {
    path: input.path,
    format: input.format,
    size: input.size,
    stateDictAt: input.stateDictAt === undefined ? null : [...input.stateDictAt],
    candidates: input.candidates.map((path) => [...path]),
    tensors: entries.map(({ name, spec }) => ({
      name,
      dtype: spec.dtype,
      shape: [...spec.shape],
      strides: [...spec.strides],
      bytes: countOf(spec.shape) * DTYPE_BYTES[spec.dtype],
    })),
    elements: entries.reduce((sum, { spec }) => sum + countOf(spec.shape), 0),
    shared: sharedNames(entries),
    ignored: [...input.ignored],
    opaqueClasses: opaqueClasses(input.root),
    metadata: input.metadata,
  };
}

function sharedNames(entries: readonly FileEntry[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const { name, spec } of entries) {
    const group = groups.get(spec.storage.id);
    if (group === undefined) groups.set(spec.storage.id, [name]);
    else group.push(name);
  }
  return [...groups.values()].filter((names) => names.length > 1);
}
