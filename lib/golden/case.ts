import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DTYPES, type DType } from '../dtype';
import { GoldenError } from './error';
import { type JsonValue, parseJson } from './json';

/** An object of a case file. */
export type JsonObject = { [key: string]: JsonValue };

/** Where a parameter's value comes from; see test/goldens/README.md. */
export type ParameterSource = 'synth' | 'kept' | 'stored' | 'alias';

/** One entry of the state dict that a case runs with. */
export interface GoldenParameter {
  name: string;
  shape: number[];
  how: ParameterSource;
  /** The earlier name whose storage an alias shares. */
  of?: string;
  dtype?: DType;
}

/** One input: synthetic values over a range, or stored in inputs.safetensors. */
export interface GoldenInput {
  name: string;
  shape: number[];
  range?: [low: number, high: number];
  dtype?: DType;
}

/** How far an output may be from the stored value. */
export interface Tolerance {
  rtol: number;
  atol: number;
  /** Share of the elements that may miss rtol and atol. */
  mismatchFraction?: number;
  /** Number of elements that may miss rtol and atol. */
  absolute?: number;
}

/** One expected output. */
export interface GoldenOutput {
  name: string;
  /** The shape that the implementation gives; undefined where only the slice's shape is known. */
  shape?: number[];
  /** The shape that is stored: differs from `shape` where a slice is stored. */
  storedShape: number[];
  slice?: string;
  tolerance: Tolerance;
  dtype?: DType;
}

/** A factor on the synthetic values of every parameter whose name contains a match of the pattern. */
export interface WeightGain {
  pattern: RegExp;
  factor: number;
}

/** A case.json, read and checked. */
export interface GoldenCase {
  folder: string;
  family: string;
  name: string;
  what: string;
  config: JsonObject;
  seed: number;
  parameters: GoldenParameter[];
  inputs: GoldenInput[];
  outputs: GoldenOutput[];
  gains: WeightGain[];
  /** Members that only one family has, as they stand in the file. */
  extra: JsonObject;
}

// Members that describe where numbers come from and change no check.
const REMARKS = new Set(['what', 'source', 'notes', 'note', 'computed_with', 'computedWith', 'outputLevels']);
const OUTPUT_REMARKS =
  /^(stats|std|note|notes|minTop2Gap|f64_mismatch_fraction|float32VsFloat64|float32Error)$/;
const EXTRA = new Set(['file', 'file_bytes', 'file_sha256', 'expect', 'expect_ema', 'forward']);

/** Reads the case.json of a folder. Throws GoldenError where it is missing, broken, or says what is not known. */
export function readCase(folder: string): GoldenCase {
  const file = join(folder, 'case.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new GoldenError(`cannot read case.json: ${(error as Error).message}`, error);
  }
  let value: JsonValue;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new GoldenError(`case.json is not JSON: ${(error as Error).message}`, error);
  }
  return parseCase(value, folder);
}

/** Checks the content of a case.json. */
export function parseCase(value: JsonValue, folder = '.'): GoldenCase {
  const root = object(value, 'case.json');
  const extra: JsonObject = {};
  const known = new Set([
    'family',
    'case',
    'config',
    'seed',
    'parameters',
    'inputs',
    'outputs',
    'weightGain',
  ]);
  for (const [key, member] of Object.entries(root)) {
    if (EXTRA.has(key)) extra[key] = member;
    else if (!known.has(key) && !REMARKS.has(key))
      throw new GoldenError(`case.json: unknown member "${key}"`);
  }
  const parsed: GoldenCase = {
    folder,
    family: string(root.family, 'family'),
    name: string(root.case, 'case'),
    what: root.what === undefined ? '' : string(root.what, 'what'),
    config: object(root.config ?? {}, 'config'),
    seed: root.seed === undefined || root.seed === null ? 0 : count(root.seed, 'seed'),
    parameters: array(root.parameters ?? [], 'parameters').map(parseParameter),
    inputs: array(root.inputs ?? [], 'inputs').map(parseInput),
    outputs: array(root.outputs, 'outputs').map(parseOutput),
    gains: Object.entries(object(root.weightGain ?? {}, 'weightGain')).map(parseGain),
    extra,
  };
  unique(parsed.parameters, 'parameters');
  unique(parsed.inputs, 'inputs');
  unique(parsed.outputs, 'outputs');
  const earlier = new Set<string>();
  for (const { name, how, of } of parsed.parameters) {
    if (how === 'alias' && (of === undefined || !earlier.has(of))) {
      throw new GoldenError(`parameters: alias "${name}" names no earlier parameter`);
    }
    earlier.add(name);
  }
  return parsed;
}

function parseParameter(value: JsonValue, index: number): GoldenParameter {
  const at = `parameters[${index}]`;
  const entry = members(value, at, /^(name|shape|how|of|dtype|note)$/);
  const how = string(entry.how, `${at}.how`);
  if (how !== 'synth' && how !== 'kept' && how !== 'stored' && how !== 'alias') {
    throw new GoldenError(`${at}.how: expected synth, kept, stored or alias, got "${how}"`);
  }
  return {
    name: string(entry.name, `${at}.name`),
    shape: shape(entry.shape, `${at}.shape`),
    how,
    ...(entry.of === undefined ? {} : { of: string(entry.of, `${at}.of`) }),
    ...(entry.dtype === undefined ? {} : { dtype: dtype(entry.dtype, `${at}.dtype`) }),
  };
}

function parseInput(value: JsonValue, index: number): GoldenInput {
  const at = `inputs[${index}]`;
  const entry = members(value, at, /^(name|shape|range|stored|dtype|note)$/);
  const input: GoldenInput = {
    name: string(entry.name, `${at}.name`),
    shape: shape(entry.shape, `${at}.shape`),
    ...(entry.dtype === undefined ? {} : { dtype: dtype(entry.dtype, `${at}.dtype`) }),
  };
  if (entry.range !== undefined) {
    const bounds = array(entry.range, `${at}.range`).map((bound) => finite(bound, `${at}.range`));
    if (bounds.length !== 2) throw new GoldenError(`${at}.range: expected two numbers`);
    input.range = [bounds[0]!, bounds[1]!];
  } else if (entry.stored !== true) {
    throw new GoldenError(`${at}: expected a range or "stored": true`);
  }
  return input;
}

function parseOutput(value: JsonValue, index: number): GoldenOutput {
  const at = `outputs[${index}]`;
  const entry = object(value, at);
  for (const key of Object.keys(entry)) {
    const known =
      /^(name|shape|tolerance|slice|fullShape|stored_shape|dtype)$/.test(key) || OUTPUT_REMARKS.test(key);
    if (!known) throw new GoldenError(`${at}: unknown member "${key}"`);
  }
  const declared = shape(entry.shape, `${at}.shape`);
  // Two spellings of one thing: fullShape beside the stored shape, or stored_shape beside the full one.
  const stored =
    entry.stored_shape === undefined ? declared : shape(entry.stored_shape, `${at}.stored_shape`);
  let full: number[] | undefined = declared;
  if (entry.fullShape !== undefined) full = shape(entry.fullShape, `${at}.fullShape`);
  else if (entry.slice !== undefined && entry.stored_shape === undefined) full = undefined;
  return {
    name: string(entry.name, `${at}.name`),
    ...(full === undefined ? {} : { shape: full }),
    storedShape: stored,
    ...(entry.slice === undefined ? {} : { slice: string(entry.slice, `${at}.slice`) }),
    tolerance: parseTolerance(entry.tolerance, `${at}.tolerance`),
    ...(entry.dtype === undefined ? {} : { dtype: dtype(entry.dtype, `${at}.dtype`) }),
  };
}

/** Reads a tolerance; members that are left out are exact. */
export function parseTolerance(value: JsonValue | undefined, at: string): Tolerance {
  const entry = members(value, at, /^(rtol|atol|mismatchFraction|absolute)$/);
  const bound = (key: string) => {
    const number = finite(entry[key] ?? 0, `${at}.${key}`);
    if (number < 0) throw new GoldenError(`${at}.${key}: expected a number from 0, got ${number}`);
    return number;
  };
  return {
    rtol: bound('rtol'),
    atol: bound('atol'),
    ...(entry.mismatchFraction === undefined ? {} : { mismatchFraction: bound('mismatchFraction') }),
    ...(entry.absolute === undefined ? {} : { absolute: bound('absolute') }),
  };
}

function parseGain([pattern, factor]: [string, JsonValue]): WeightGain {
  try {
    return { pattern: new RegExp(pattern), factor: finite(factor, `weightGain["${pattern}"]`) };
  } catch (error) {
    if (error instanceof GoldenError) throw error;
    throw new GoldenError(`weightGain: "${pattern}" is no regular expression`, error);
  }
}

function unique(entries: readonly { name: string }[], at: string): void {
  const seen = new Set<string>();
  for (const { name } of entries) {
    if (seen.has(name)) throw new GoldenError(`${at}: "${name}" twice`);
    seen.add(name);
  }
}

function members(value: JsonValue | undefined, at: string, known: RegExp): JsonObject {
  const entry = object(value, at);
  for (const key of Object.keys(entry)) {
    if (!known.test(key)) throw new GoldenError(`${at}: unknown member "${key}"`);
  }
  return entry;
}

/** Narrows a member to an object. */
export function object(value: JsonValue | undefined, at: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw wrong(at, 'an object', value);
}

/** Narrows a member to an array. */
export function array(value: JsonValue | undefined, at: string): JsonValue[] {
  if (Array.isArray(value)) return value;
  throw wrong(at, 'an array', value);
}

/** Narrows a member to a string. */
export function string(value: JsonValue | undefined, at: string): string {
  if (typeof value === 'string') return value;
  throw wrong(at, 'a string', value);
}

/** Narrows a member to true or false. */
export function boolean(value: JsonValue | undefined, at: string): boolean {
  if (typeof value === 'boolean') return value;
  throw wrong(at, 'true or false', value);
}

/** Narrows a member to a finite number. */
export function finite(value: JsonValue | undefined, at: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw wrong(at, 'a finite number', value);
}

/** Narrows a member to an integer from 0. */
export function count(value: JsonValue | undefined, at: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw wrong(at, 'an integer from 0', value);
}

/** Narrows a member to a list of sides. */
export function shape(value: JsonValue | undefined, at: string): number[] {
  return array(value, at).map((side) => count(side, at));
}

/** Narrows a member to the name of an element type. */
export function dtype(value: JsonValue | undefined, at: string): DType {
  const name = string(value, at);
  if ((DTYPES as readonly string[]).includes(name)) return name as DType;
  throw wrong(at, `one of ${DTYPES.join(', ')}`, value);
}

function wrong(at: string, expected: string, value: JsonValue | undefined): GoldenError {
  const got =
    value === undefined
      ? 'nothing'
      : JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? `${each}` : each));
  return new GoldenError(
    `${at}: expected ${expected}, got ${got.length > 80 ? `${got.slice(0, 77)}...` : got}`,
  );
}
