import type { DType } from '../../dtype';
import type { TensorBudget, TensorSpec } from '../geometry';
import type { ByteSource } from '../source';
import type { Storage } from '../storage';

/**
 * What a pickle's values become: inert data. Integers are numbers (bigint beyond 2^53), texts are strings; everything
 * else has a class below, so that a float can never pass for an integer size, nor a list for a tuple of arguments.
 */
export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PyFloat
  | PyLongText
  | PyBytes
  | PyEncoded
  | PyTuple
  | PyList
  | PyDict
  | PySet
  | PyComplex
  | PyGlobal
  | PyOpaque
  | PyStorage
  | PyTensor
  | PyArray
  | PyArrayType
  | PyUnsupported;

export class PyFloat {
  constructor(readonly value: number) {}
}

/** A stretch of the pickle itself. */
export interface Span {
  readonly bytes: Uint8Array;
  /** Where the stretch lies in the source; undefined in a pickle that was inflated. */
  readonly position: number | undefined;
}

/** A text too long to be a name: kept as UTF-8 until someone wants it. Arrays of protocol 2 come as such texts. */
export class PyLongText {
  constructor(readonly span: Span) {}

  toString(): string {
    return Buffer.from(this.span.bytes.buffer, this.span.bytes.byteOffset, this.span.bytes.length).toString(
      'utf8',
    );
  }
}

/** Bytes; `text` where they are a Python 2 string, which is a text as well. */
export class PyBytes {
  constructor(
    readonly span: Span,
    readonly text: boolean,
  ) {}

  toString(): string {
    return Buffer.from(this.span.bytes.buffer, this.span.bytes.byteOffset, this.span.bytes.length).toString(
      'latin1',
    );
  }
}

/** What `_codecs.encode(longText, 'latin1')` stands for: bytes carried as a text, decoded when they are touched. */
export class PyEncoded {
  constructor(
    readonly source: PyLongText,
    /** Bytes after decoding. */
    readonly length: number,
  ) {}

  decode(): Uint8Array {
    return Buffer.from(this.source.toString(), 'latin1');
  }
}

export class PyTuple {
  constructor(readonly items: readonly PyValue[]) {}
}

// Containers make room at their first item: a file of a million empty ones must stay small in memory.
const NO_ITEMS: readonly PyValue[] = [];
const NO_ENTRIES: ReadonlyMap<PyValue, PyValue> = new Map();

export class PyList {
  #items: PyValue[] | undefined;

  get items(): readonly PyValue[] {
    return this.#items ?? NO_ITEMS;
  }

  append(items: readonly PyValue[]): void {
    if (this.#items === undefined) this.#items = items.slice();
    else for (const item of items) this.#items.push(item);
  }
}

export class PySet {
  readonly #members = new PyDict();

  get items(): readonly PyValue[] {
    return [...this.#members.entries.keys()];
  }

  add(items: readonly PyValue[]): void {
    for (const item of items) this.#members.set(item, null);
  }
}

/** A dict or one of its harmless kinds. Text keys are plain strings here, whatever form they had in the file. */
export class PyDict {
  #entries: Map<PyValue, PyValue> | undefined;

  get entries(): ReadonlyMap<PyValue, PyValue> {
    return this.#entries ?? NO_ENTRIES;
  }

  set(key: PyValue, value: PyValue): void {
    this.#entries ??= new Map();
    this.#entries.set(key, value);
  }
}

export class PyComplex {
  constructor(
    readonly real: number,
    readonly imag: number,
  ) {}
}

/** A function or class that the pickle names. Nothing is imported: `call` is our own stand-in, if there is one. */
export class PyGlobal {
  constructor(
    readonly module: string,
    readonly name: string,
    readonly role: GlobalRole,
  ) {}

  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** How a named global may be used; see globals.ts. */
export type GlobalRole =
  /** Made by a function of ours. */
  | { readonly kind: 'call'; readonly call: (args: readonly PyValue[], context: PickleContext) => PyValue }
  /**
   * A storage class of torch; `dtype` undefined where freqfusion has no such element type, null where untyped;
   * `bytes` per element, undefined for a class that is not known at all.
   */
  | { readonly kind: 'storage'; readonly dtype: DType | undefined | null; readonly bytes: number | undefined }
  /** A plain constant, such as torch.float16. */
  | { readonly kind: 'constant'; readonly text: string }
  /** A class that is never built: instances become placeholders. */
  | { readonly kind: 'class' }
  /** A function that is never called: naming it is harmless, calling it is refused. */
  | { readonly kind: 'function' };

/** What functions of the list work with: the file's bytes, and the account of all tensors made from them. */
export interface PickleContext {
  readonly source: ByteSource;
  readonly budget: TensorBudget;
  /** Arrays made so far: their storages are numbered. */
  arrays: number;
  /** Accounts for work that grows with a value's size, which a pickle can ask for again and again. */
  charge(amount: number): void;
}

/** An object of a class that is not on the list: only its class's name is kept. */
export class PyOpaque {
  constructor(readonly className: string) {}
}

/** What a persistent id stands for: a storage, typed (elements) or untyped (bytes). */
export class PyStorage {
  constructor(
    readonly storage: Storage,
    /** Null for an untyped storage; undefined for an element type that freqfusion does not have. */
    readonly dtype: DType | null | undefined,
    /** First element of a legacy storage view. */
    readonly start: number,
    readonly typeName: string,
  ) {}
}

export class PyTensor {
  constructor(readonly spec: TensorSpec) {}
}

/** A numpy array or scalar. Empty until BUILD gives it its content, as numpy's own pickles do. */
export class PyArray {
  content: TensorSpec | PyUnsupported | undefined;
  constructor(readonly scalar: boolean) {}
}

/** A numpy dtype: its code ("f4") and byte order. */
export class PyArrayType {
  order = '=';
  constructor(readonly code: string) {}
}

/** A tensor or array that freqfusion cannot represent: an error where a tensor is wanted, harmless elsewhere. */
export class PyUnsupported {
  constructor(readonly what: string) {}
}

/** Texts up to this many bytes may be names; longer ones are data. */
export const MAX_NAME_BYTES = 4096;

/** The name that a value is, if it is one: a text, or a Python 2 string, of no great length. */
export function textOf(value: PyValue): string | undefined {
  if (typeof value === 'string') return value;
  if (value instanceof PyBytes && value.text && value.span.bytes.length <= MAX_NAME_BYTES)
    return value.toString();
  return undefined;
}

/** Words a value's kind for messages. */
export function kindOf(value: PyValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (typeof value === 'object') {
    if (value instanceof PyOpaque) return `an object of ${value.className}`;
    if (value instanceof PyGlobal) return value.path;
    return KIND_NAMES.get(value.constructor) ?? 'an object';
  }
  return typeof value === 'string' ? 'a text' : typeof value === 'boolean' ? 'a bool' : 'an integer';
}

const KIND_NAMES = new Map<unknown, string>([
  [PyFloat, 'a float'],
  [PyLongText, 'a text'],
  [PyBytes, 'bytes'],
  [PyEncoded, 'bytes'],
  [PyTuple, 'a tuple'],
  [PyList, 'a list'],
  [PyDict, 'a dict'],
  [PySet, 'a set'],
  [PyComplex, 'a complex number'],
  [PyStorage, 'a storage'],
  [PyTensor, 'a tensor'],
  [PyArray, 'a numpy array'],
  [PyArrayType, 'a numpy dtype'],
  [PyUnsupported, 'an unsupported tensor'],
]);
