import { CocoError, describe, type ErrorCode } from '../errors';
import type { CocoBox } from './run-lengths';

/** An object of a file, with the place that it stands at, for errors. */
export interface Entry {
  readonly value: Readonly<Record<string, unknown>>;
  readonly file: string;
  /** The list that it is in; '' where the file is one. */
  readonly list: string;
  readonly index: number;
}

/** Narrows a value to an object of a list. */
export function entry(value: unknown, file: string, list: string, index: number): Entry {
  const made = { value: value as Entry['value'], file, list, index };
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return made;
  throw fieldError(made, '', 'an object', value);
}

/** "expected X for annotations[3].bbox of FILE, got Y". */
export function fieldError(
  { file, list, index }: Entry,
  name: string,
  expected: string,
  actual: unknown,
  { code = 'ERR_COCO_FORMAT', cause }: { code?: ErrorCode; cause?: unknown } = {},
): CocoError {
  const got = describe(actual);
  const place = `${list}[${index}]${name === '' ? '' : `.${name}`}`;
  return new CocoError(code, `expected ${expected} for ${place} of ${file}, got ${got}`, {
    expected,
    actual: got,
    cause,
  });
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

export function numberField(from: Entry, name: string): number {
  const value = from.value[name];
  if (isNumber(value)) return value;
  throw fieldError(from, name, 'a number', value);
}

/** A whole number, from `min` where it is given. */
export function wholeField(from: Entry, name: string, min?: number): number {
  const value = from.value[name];
  if (Number.isSafeInteger(value) && (min === undefined || (value as number) >= min)) return value as number;
  throw fieldError(from, name, min === undefined ? 'an integer' : `an integer from ${min}`, value);
}

export function textField(from: Entry, name: string): string {
  const value = from.value[name];
  if (typeof value === 'string') return value;
  throw fieldError(from, name, 'a string', value);
}

/** Whether a path leads to something inside the folder that it is relative to, on whatever system. */
export function staysInside(path: string): boolean {
  const steps = path.split(/[\\/]/);
  return !/^([\\/]|[a-z]:)|\0/i.test(path) && !steps.includes('..') && !['', '.'].includes(steps.at(-1)!);
}

/** The name of a file inside a folder, which an untrusted file must not lead out of. */
export function insideField(from: Entry, name: string): string {
  const value = textField(from, name);
  if (staysInside(value)) return value;
  throw fieldError(from, name, 'a path inside the folder of the files', value);
}

/** 0, 1, true or false; false where it is missing. */
export function flagField(from: Entry, name: string): boolean {
  const value = from.value[name] ?? false;
  if (value === 0 || value === 1 || typeof value === 'boolean') return Boolean(value);
  throw fieldError(from, name, '0 or 1', value);
}

export function boxField(from: Entry, name: string): CocoBox {
  const value = from.value[name];
  if (Array.isArray(value) && value.length === 4 && value.every(isNumber)) {
    return value as unknown as CocoBox;
  }
  throw fieldError(from, name, '[x, y, width, height]', value);
}

/** Files an entry under its id. Throws ERR_COCO_FORMAT for an id that is taken. */
export function addUnique<T>(to: Map<number, T>, id: number, value: T, from: Entry, name = 'id'): void {
  if (to.has(id)) throw fieldError(from, name, 'each id once', id);
  to.set(id, value);
}

/** Throws ERR_COCO_REFERENCE where an entry names an image or category that is not there. */
export function checkReference(
  known: ReadonlyMap<number, unknown>,
  id: number,
  from: Entry,
  name: string,
): void {
  if (known.has(id)) return;
  const kind = name === 'image_id' ? 'an image' : 'a category';
  throw fieldError(from, name, `${kind} of the annotation file`, id, { code: 'ERR_COCO_REFERENCE' });
}
