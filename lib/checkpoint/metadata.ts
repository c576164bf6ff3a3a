import { DTYPE_BYTES } from '../dtype';
import { elementBytes } from './elements';
import { countOf, type TensorSpec } from './geometry';
import { childrenOf } from './pickle/graph';
import {
  PyArray,
  PyArrayType,
  PyBytes,
  PyComplex,
  PyEncoded,
  PyFloat,
  PyGlobal,
  PyList,
  PyLongText,
  PyOpaque,
  PySet,
  PyStorage,
  PyTensor,
  PyTuple,
  PyUnsupported,
  type PyValue,
} from './pickle/values';

/** A tensor outside the state dict, as metadata shows it. */
export interface TensorSummary {
  dtype: string;
  shape: number[];
}

/** An object of a class that is never built, as metadata shows it. */
export interface ClassSummary {
  class: string;
}

/**
 * What metadata is made of: lists and tuples are arrays, dicts with text keys objects (others Maps), sets Sets,
 * bytes Uint8Arrays, integers beyond 2^53 bigints.
 */
export type MetadataValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | MetadataValue[]
  | Set<MetadataValue>
  | Map<MetadataValue, MetadataValue>
  | { [key: string]: MetadataValue };

/** Arrays up to this many elements are shown with their values (palettes, thresholds); longer ones in summary. */
const MAX_ARRAY = 4096;

/**
 * Turns pickle values into plain JavaScript ones. Values under `left` (the state dicts) are left out. Shared values
 * stay shared. The graph was checked at opening: it is neither deep nor circular, so recursion is safe.
 */
export function toPlain(
  value: PyValue,
  left: ReadonlySet<PyValue>,
  done = new Map<PyValue, MetadataValue>(),
): MetadataValue {
  if (value === null || typeof value !== 'object') return value;
  const known = done.get(value);
  if (known !== undefined) return known;
  const made = convert(value, (inner) => toPlain(inner, left, done), left);
  done.set(value, made);
  return made;
}

function convert(
  value: Exclude<PyValue, null | boolean | number | bigint | string>,
  inner: (value: PyValue) => MetadataValue,
  left: ReadonlySet<PyValue>,
): MetadataValue {
  if (value instanceof PyFloat) return value.value;
  if (value instanceof PyLongText) return value.toString();
  if (value instanceof PyBytes) return value.text ? value.toString() : Uint8Array.from(value.span.bytes);
  if (value instanceof PyEncoded) return Uint8Array.from(value.decode());
  if (value instanceof PyTuple || value instanceof PyList) return value.items.map(inner);
  if (value instanceof PySet) return new Set(value.items.map(inner));
  if (value instanceof PyComplex) return { real: value.real, imag: value.imag };
  if (value instanceof PyGlobal)
    return value.role.kind === 'constant' ? value.role.text : { class: value.path };
  if (value instanceof PyOpaque) return { class: value.className };
  if (value instanceof PyTensor) return summary(value.spec);
  if (value instanceof PyUnsupported) return { class: value.what };
  if (value instanceof PyStorage) return { class: value.typeName };
  if (value instanceof PyArrayType) return `numpy.${value.code}`;
  if (value instanceof PyArray) return arrayToPlain(value);
  const entries = [...value.entries].filter(([, item]) => !left.has(item));
  if (entries.every(([key]) => typeof key === 'string')) {
    return Object.fromEntries(entries.map(([key, item]) => [key as string, inner(item)]));
  }
  return new Map(entries.map(([key, item]) => [inner(key), inner(item)]));
}

function arrayToPlain({ content, scalar }: PyArray): MetadataValue {
  if (content === undefined) return null;
  if (content instanceof PyUnsupported) return { class: content.what };
  const count = countOf(content.shape);
  if (count === 0 || count > MAX_ARRAY) return summary(content);
  const values = numbersOf(content);
  return scalar || content.shape.length === 0 ? values[0]! : nested(values, content.shape);
}

function summary(spec: TensorSpec): MetadataValue {
  return { dtype: spec.dtype, shape: [...spec.shape] };
}

function nested(values: readonly MetadataValue[], shape: readonly number[]): MetadataValue[] {
  const [first, ...rest] = shape as [number, ...number[]];
  if (rest.length === 0) return [...values];
  const step = countOf(rest);
  return Array.from({ length: first }, (_, i) => nested(values.slice(i * step, (i + 1) * step), rest));
}

function numbersOf(spec: TensorSpec): MetadataValue[] {
  const bytes = elementBytes(spec, 'a numpy array');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = READERS[spec.dtype];
  return Array.from({ length: countOf(spec.shape) }, (_, i) => read(view, i * DTYPE_BYTES[spec.dtype]));
}

const READERS: Readonly<Record<TensorSpec['dtype'], (view: DataView, at: number) => MetadataValue>> = {
  float64: (view, at) => view.getFloat64(at, true),
  float32: (view, at) => view.getFloat32(at, true),
  float16: (view, at) => halfToNumber(view.getUint16(at, true)),
  bfloat16: (view, at) => bfloatToNumber(view.getUint16(at, true)),
  int64: (view, at) => {
    const value = view.getBigInt64(at, true);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  },
  int32: (view, at) => view.getInt32(at, true),
  int16: (view, at) => view.getInt16(at, true),
  int8: (view, at) => view.getInt8(at),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => view.getUint8(at) !== 0,
};

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bfloatToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits, false);
  return view.getFloat32(0, false);
}

/** Names of the classes whose objects became placeholders, each once, in the file's order. */
export function opaqueClasses(root: PyValue): string[] {
  const found = new Set<string>();
  const seen = new Set<PyValue>();
  const queue: PyValue[] = [root];
  for (let i = 0; i < queue.length; i++) {
    const value = queue[i]!;
    if (value instanceof PyOpaque) found.add(value.className);
    if (value === null || typeof value !== 'object' || seen.has(value)) continue;
    seen.add(value);
    for (const child of childrenOf(value) ?? []) queue.push(child);
  }
  return [...found];
}

const MAX_JSON = 1 << 20;

/** Metadata as JSON, or undefined where nothing is left: entries that are too long for a header are dropped. */
export function toJson(metadata: { readonly [key: string]: MetadataValue }): string | undefined {
  const kept: string[] = [];
  for (const [key, value] of Object.entries(metadata)) {
    const json = JSON.stringify(value, plainer) as string | undefined;
    if (json !== undefined && json.length <= MAX_JSON) kept.push(`${JSON.stringify(key)}:${json}`);
  }
  return kept.length === 0 ? undefined : `{${kept.join(',')}}`;
}

/** Metadata from JSON that toJson() wrote; empty where the text is something else. */
export function fromJson(json: string): { [key: string]: MetadataValue } {
  try {
    const value = JSON.parse(json) as MetadataValue;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as { [key: string]: MetadataValue }) : {};
  } catch {
    return {};
  }
}

function plainer(_key: string, value: MetadataValue): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), item]));
  if (value instanceof Set) return [...value];
  return value instanceof Uint8Array ? undefined : value;
}
