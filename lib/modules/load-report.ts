import type { StateInfo } from '../binding';
import type { StateDictEntry } from '../checkpoint/state-dict';
import type { DType } from '../dtype';
import { StateDictError } from '../errors';
import { nearestName } from './nearest-name';

/** A key whose value cannot be copied into the module. */
export interface MismatchedKey {
  name: string;
  /** What the module holds. */
  expected: { shape: readonly number[]; dtype: DType };
  /** What the state dict has. */
  actual: { shape: readonly number[]; dtype: DType };
}

/** What became of every key of a state dict and of every name of a module. */
export interface LoadReport {
  /** Names of the module that got a value. */
  loaded: string[];
  /** Names of the module that the state dict lacks. */
  missing: string[];
  /** Keys of the state dict that the module has no place for. */
  unexpected: string[];
  /** Keys that both have, with another shape, or integers where the module has floating-point numbers. */
  mismatched: MismatchedKey[];
  /** For a missing, unexpected or mismatched key: the key on the other side that is most like it, where one is near. */
  nearest: Record<string, string>;
  /** Keys under names of older releases of the reference, and the names that they were loaded as. */
  renamed: { from: string; to: string }[];
  /** Names that the state dict may lack because the module knows their value: batch counters, Hamming windows. */
  defaulted: string[];
}

/** A value of the state dict and the name of the module that it goes to. */
export interface Assignment {
  name: string;
  entry: StateDictEntry;
}

// FreqFusion.py before 2024-09-20 called the sampler's scale convolutions so.
const OLD_NAMES: readonly [RegExp, string][] = [
  [/(^|\.)sim_direct\.(weight|bias)$/, '$1direct_scale.$2'],
  [/(^|\.)hr_sim_direct\.(weight|bias)$/, '$1hr_direct_scale.$2'],
];
const KNOWN_VALUES = /(^|\.)(num_batches_tracked|hamming_lowpass|hamming_highpass)$/;
const FLOATING = /^b?float/;

// Looking for near names costs the product of both lists: enough for any message, little for a file of another model.
const MOST_HINTS = 64;
const MOST_LISTED = 8;

/** Compares a module's names with the entries of a state dict; `assignments` are what can be loaded. */
export function matchState(
  state: readonly StateInfo[],
  entries: Iterable<StateDictEntry>,
): { report: LoadReport; assignments: Assignment[] } {
  const wanted = new Map(state.map((info) => [info.name, info]));
  const given = new Map(Array.from(entries, (entry) => [entry.name, entry]));
  const report: LoadReport = {
    loaded: [],
    missing: [],
    unexpected: [],
    mismatched: [],
    nearest: {},
    renamed: [],
    defaulted: [],
  };
  const found = new Map<string, StateDictEntry>();
  for (const [key, entry] of given) {
    const name = currentName(key, wanted, given);
    if (name === undefined) {
      report.unexpected.push(key);
      continue;
    }
    if (name !== key) report.renamed.push({ from: key, to: name });
    found.set(name, entry);
  }
  const assignments: Assignment[] = [];
  for (const info of state) {
    const entry = found.get(info.name);
    if (entry === undefined) {
      (KNOWN_VALUES.test(info.name) ? report.defaulted : report.missing).push(info.name);
    } else if (fits(info, entry)) {
      report.loaded.push(info.name);
      assignments.push({ name: info.name, entry });
    } else {
      report.mismatched.push({
        name: info.name,
        expected: { shape: info.shape, dtype: info.dtype },
        actual: { shape: entry.shape, dtype: entry.dtype },
      });
    }
  }
  addNearest(report);
  return { report, assignments };
}

function currentName(
  key: string,
  wanted: ReadonlyMap<string, StateInfo>,
  given: ReadonlyMap<string, StateDictEntry>,
): string | undefined {
  if (wanted.has(key)) return key;
  for (const [pattern, replacement] of OLD_NAMES) {
    const name = key.replace(pattern, replacement);
    if (name !== key && wanted.has(name) && !given.has(name)) return name;
  }
  return undefined;
}

function fits(info: StateInfo, entry: StateDictEntry): boolean {
  const sameShape =
    info.shape.length === entry.shape.length && info.shape.every((side, i) => side === entry.shape[i]);
  return sameShape && (!FLOATING.test(info.dtype) || FLOATING.test(entry.dtype));
}

function addNearest(report: LoadReport): void {
  const free = report.unexpected.slice(0, 4096);
  const open = report.missing.slice(0, 4096);
  for (const name of open.slice(0, MOST_HINTS)) {
    const near = nearestName(name, free);
    if (near !== undefined) report.nearest[name] = near;
  }
  for (const name of free.slice(0, MOST_HINTS)) {
    const near = nearestName(name, open) ?? nearestName(name, report.loaded);
    if (near !== undefined) report.nearest[name] = near;
  }
}

/** Whether the state dict fits exactly. */
export function isExact({ missing, unexpected, mismatched }: LoadReport): boolean {
  return missing.length === 0 && unexpected.length === 0 && mismatched.length === 0;
}

/** The error of a strict load: the first keys of each kind with their nearest ones, and how many more there are. */
export function stateKeysError(kind: string, report: LoadReport): StateDictError {
  const { missing, unexpected, mismatched, nearest } = report;
  const near = (name: string) => (nearest[name] === undefined ? name : `${name} (nearest: ${nearest[name]})`);
  const parts = [
    list('missing', missing.map(near)),
    list('unexpected', unexpected.map(near)),
    list('mismatched', mismatched.map(wordMismatch)),
  ].filter((part) => part !== '');
  const counts = `${missing.length} missing, ${unexpected.length} unexpected, ${mismatched.length} mismatched`;
  const total = report.loaded.length + missing.length + mismatched.length;
  const expected = `the ${total} keys of ${kind}`;
  const hint = prefixHint(report);
  return new StateDictError(
    'ERR_STATE_KEYS',
    `expected ${expected} for stateDict, got ${counts}${hint}\n${parts.join('\n')}`,
    { expected, actual: counts },
  );
}

function list(title: string, words: readonly string[]): string {
  if (words.length === 0) return '';
  const more = words.length > MOST_LISTED ? ` and ${words.length - MOST_LISTED} more` : '';
  return `  ${title}: ${words.slice(0, MOST_LISTED).join(', ')}${more}`;
}

function wordMismatch({ name, expected, actual }: MismatchedKey): string {
  const shapes = `expected [${expected.shape.join(', ')}], got [${actual.shape.join(', ')}]`;
  return FLOATING.test(expected.dtype) && !FLOATING.test(actual.dtype)
    ? `${name}: ${shapes}, ${actual.dtype} for ${expected.dtype}`
    : `${name}: ${shapes}`;
}

// The commonest mistake: the module is a part of the saved model, so that all its keys stand under one prefix.
function prefixHint({ loaded, missing, unexpected }: LoadReport): string {
  const first = missing[0];
  if (loaded.length > 0 || first === undefined) return '';
  const keys = new Set(unexpected);
  const holder = unexpected.find(
    (key) =>
      key.endsWith(`.${first}`) && missing.every((name) => keys.has(key.slice(0, -first.length) + name)),
  );
  return holder === undefined
    ? ''
    : `; every key is there under the prefix ${JSON.stringify(holder.slice(0, -first.length))}: pass it as the option "prefix"`;
}
