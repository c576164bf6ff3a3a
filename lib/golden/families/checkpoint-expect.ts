import { createHash } from 'node:crypto';
import { Checkpoint } from '../../checkpoint/checkpoint';
import { array, type GoldenCase, type JsonObject, object, string } from '../case';
import { type HostArray, numbers } from '../compare';
import { GoldenError } from '../error';
import type { JsonValue } from '../json';
import type { Check } from '../run';
import { hostEntry } from '../store';

/** One tensor of a file with the hash of its bytes in C order. */
export interface FoundTensor extends HostArray {
  sha256: string;
}

const KNOWN = new Set([
  'ok',
  'container',
  'policy',
  'category',
  'why',
  'tensors',
  'meta',
  'state_dict_at',
  'alternative_at',
  'strip_prefix',
  'sub_prefix',
  'shares_storage',
  'model_keys',
]);

/** Checks what a readable file must show, one check for every member of `expect`. */
export async function checkExpectations(
  golden: GoldenCase,
  file: string,
  expect: JsonObject,
  found: ReadonlyMap<string, FoundTensor>,
): Promise<Check[]> {
  const unknown = Object.keys(expect).filter((key) => !KNOWN.has(key));
  if (unknown.length > 0) throw new GoldenError(`expect: unknown member "${unknown[0]}"`);
  // Writers of safetensors sort the tensors; a pickled dict keeps its order.
  const ordered = expect.container !== 'safetensors';
  const checks = checkTensors('tensors', object(expect.tensors ?? {}, 'expect.tensors'), found, ordered);
  const checkpoint = await Checkpoint.open(file);
  try {
    const add = (name: string, expected: unknown, actual: unknown) =>
      checks.push(same(name, expected, actual));
    if (expect.container !== undefined) add('container', expect.container, checkpoint.format);
    if (expect.meta !== undefined)
      checks.push(...checkMeta(object(expect.meta, 'expect.meta'), checkpoint.metadata));
    if (expect.state_dict_at !== undefined)
      add('state_dict_at', expect.state_dict_at, checkpoint.stateDictAt);
    if (expect.sub_prefix !== undefined) {
      const prefix = string(expect.sub_prefix, 'expect.sub_prefix');
      add(
        'sub_prefix',
        without(
          prefix,
          [...found.keys()].filter((name) => name.startsWith(prefix)),
        ),
        checkpoint.stateDict({ prefix }).names(),
      );
    }
    if (expect.strip_prefix !== undefined) {
      const prefix = string(expect.strip_prefix, 'expect.strip_prefix');
      add('strip_prefix', without(prefix, [...found.keys()]), checkpoint.stateDict().names());
    }
    if (expect.model_keys !== undefined) add('model_keys', expect.model_keys, checkpoint.stateDict().names());
    if (expect.shares_storage !== undefined) {
      const groups = checkpoint.inspect().shared.map((names) => [...names].sort());
      for (const group of array(expect.shares_storage, 'expect.shares_storage')) {
        const names = strings(group, 'expect.shares_storage').sort();
        add('shares_storage', names, groups.find((each) => each.includes(names[0]!)) ?? []);
      }
    }
    if (expect.alternative_at !== undefined) {
      const path = strings(expect.alternative_at, 'expect.alternative_at');
      const other = object(golden.extra.expect_ema, 'expect_ema');
      const entries = [...checkpoint.stateDict({ at: path, raw: true })].map(
        (entry): [string, FoundTensor] => [
          entry.name,
          { ...hostEntry(entry), sha256: sha256(entry.bytes()) },
        ],
      );
      checks.push(...checkTensors('alternative_at', other, new Map(entries), ordered));
    }
  } finally {
    checkpoint.close();
  }
  return checks;
}

function without(prefix: string, names: readonly string[]): string[] {
  return names.map((name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name));
}

/** Names and their order, element types, shapes, bytes, and the first values as case.json prints them. */
function checkTensors(
  name: string,
  expected: JsonObject,
  found: ReadonlyMap<string, FoundTensor>,
  ordered: boolean,
): Check[] {
  const arrange = (names: string[]) => (ordered ? names : names.sort());
  const checks = [same(`${name}: names`, arrange(Object.keys(expected)), arrange([...found.keys()]))];
  for (const [key, value] of Object.entries(expected)) {
    const want = object(value, `expect.tensors.${key}`);
    const got = found.get(key);
    if (got === undefined) continue;
    const differs = [
      want.dtype === got.dtype ? '' : `dtype: expected ${want.dtype}, got ${got.dtype}`,
      String(want.shape) === String(got.shape)
        ? ''
        : `shape: expected [${want.shape}], got [${got.shape.join(', ')}]`,
      want.sha256 === got.sha256 ? '' : 'the bytes differ',
      sameValues(want.first, got) ? '' : `first values: expected [${want.first}]`,
    ].filter((text) => text !== '');
    if (differs.length > 0) checks.push({ name: `${name}: ${key}`, ok: false, detail: differs.join('; ') });
  }
  return checks;
}

function sameValues(first: JsonValue | undefined, found: FoundTensor): boolean {
  if (first === undefined || found.data.length === 0) return true;
  const values = numbers(found);
  return array(first, 'first').every((value, i) => {
    const got = values[i];
    if (typeof got === 'bigint') return BigInt(value as number | bigint) === got;
    return Object.is(Number(value), got) || Math.fround(Number(value)) === got || Number(value) === got;
  });
}

function checkMeta(expected: JsonObject, metadata: unknown): Check[] {
  return Object.entries(expected).map(([key, value]) => {
    const hashed = key.endsWith('_sha256');
    const got = findMember(metadata, hashed ? key.slice(0, -'_sha256'.length) : key);
    return same(
      `meta: ${key}`,
      value,
      hashed && typeof got === 'string' ? sha256(Buffer.from(got, 'utf8')) : got,
    );
  });
}

/** The value of a member by name, looked for level by level from the top. */
function findMember(value: unknown, name: string): unknown {
  let level: unknown[] = [value];
  for (let depth = 0; depth < 6 && level.length > 0; depth += 1) {
    const objects = level.filter((each) => typeof each === 'object' && each !== null) as Record<
      string,
      unknown
    >[];
    const holder = objects.find((each) => Object.hasOwn(each, name));
    if (holder !== undefined) return holder[name];
    level = objects.flatMap((each) => Object.values(each));
  }
  return undefined;
}

function same(name: string, expected: unknown, actual: unknown): Check {
  const [want, got] = [canonical(expected), canonical(actual)];
  return { name, ok: want === got, detail: want === got ? '' : `expected ${brief(want)}, got ${brief(got)}` };
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? Number(each) : each)) ?? 'nothing';
}

function brief(text: string): string {
  return text.length > 160 ? `${text.slice(0, 157)}...` : text;
}

function strings(value: JsonValue | undefined, at: string): string[] {
  return array(value, at).map((each) => string(each, at));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
