import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { categoryOf } from '../../lib/checkpoint/codes';
import type { CheckpointError } from '../../lib/errors';

interface ExpectedTensor {
  dtype: string;
  shape: number[];
  sha256: string;
}

interface Expectation {
  ok: boolean;
  container?: string;
  state_dict_at?: string[];
  strip_prefix?: string;
  sub_prefix?: string;
  alternative_at?: string[];
  model_keys?: string[];
  shares_storage?: string[][];
  meta?: Record<string, unknown>;
  tensors?: Record<string, ExpectedTensor>;
  category?: string;
  policy?: string;
}

interface Case {
  name: string;
  file: string;
  expect: Expectation;
  ema: Record<string, ExpectedTensor> | undefined;
}

const FOLDER = join(__dirname, '..', 'goldens', 'checkpoint');
const MARKER = '/tmp/ff_checkpoint_code_was_executed';

function loadCases(): Case[] {
  return readdirSync(FOLDER).map((name) => {
    // Python's JSON has Infinity and NaN, in values that no test here reads.
    const json = readFileSync(join(FOLDER, name, 'case.json'), 'utf8').replace(/-?Infinity|NaN/g, 'null');
    const { file, expect: expectation, expect_ema: ema } = JSON.parse(json);
    return { name, file: join(FOLDER, name, file), expect: expectation, ema };
  });
}

const cases = loadCases();
const readable = cases.filter((each) => each.expect.ok);
const hostile = cases.filter((each) => !each.expect.ok);

const opened: readonly [string, (file: string) => Promise<Checkpoint>][] = [
  ['in memory', async (file) => Checkpoint.fromBytes(readFileSync(file), { name: file })],
  ['mapped', (file) => Checkpoint.open(file)],
];

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function found(checkpoint: Checkpoint, at?: string[]): Record<string, ExpectedTensor> {
  const entries = checkpoint.stateDict(at === undefined ? { raw: true } : { raw: true, at });
  return Object.fromEntries(
    Array.from(entries, (entry) => [
      entry.name,
      { dtype: entry.dtype, shape: [...entry.shape], sha256: sha256(entry.bytes()) },
    ]),
  );
}

const plainly = (tensors: Record<string, ExpectedTensor>) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, sha256: hash }]) => [
      name,
      { dtype, shape, sha256: hash },
    ]),
  );

test('the family is there', () => {
  expect(readable.length).toBeGreaterThanOrEqual(33);
  expect(hostile.length).toBeGreaterThanOrEqual(82);
});

describe.each(opened)('a readable file, opened %s', (_how, open) => {
  test.each(readable.map((each): [string, Case] => [each.name, each]))('%s', async (_name, golden) => {
    const checkpoint = await open(golden.file);
    const { container, tensors = {} } = golden.expect;
    expect(checkpoint.format).toBe(container);
    expect(checkpoint.stateDictAt).toEqual(golden.expect.state_dict_at);
    expect(found(checkpoint)).toEqual(plainly(tensors));
    expect(new Set(checkpoint.names())).toEqual(new Set(Object.keys(tensors)));
    expect(() => checkpoint.verify()).not.toThrow();

    const {
      strip_prefix: strip,
      sub_prefix: prefix,
      model_keys: keys,
      alternative_at: other,
    } = golden.expect;
    const names = checkpoint.stateDict().names();
    if (strip !== undefined) {
      expect(names).toEqual(Object.keys(tensors).map((name) => name.slice(strip.length)));
    }
    if (prefix !== undefined) {
      const inside = Object.keys(tensors).filter((name) => name.startsWith(prefix));
      expect(checkpoint.stateDict({ prefix }).names()).toEqual(
        inside.map((name) => name.slice(prefix.length)),
      );
    }
    if (keys !== undefined) expect(names).toEqual(keys);
    if (other !== undefined) expect(found(checkpoint, other)).toEqual(plainly(golden.ema!));
    const groups = checkpoint.inspect().shared;
    for (const group of golden.expect.shares_storage ?? []) {
      expect(groups.map((each) => [...each].sort())).toContainEqual([...group].sort());
    }
    checkpoint.close();
  });

  test.each(
    readable
      .filter((each) => each.expect.meta !== undefined)
      .map((each): [string, Case] => [each.name, each]),
  )('metadata of %s', async (_name, golden) => {
    const checkpoint = await open(golden.file);
    const { config_sha256: hash, best_score: score, ...plain } = golden.expect.meta!;
    const meta = checkpoint.metadata.meta as Record<string, unknown>;
    expect(meta).toMatchObject(plain);
    expect(sha256(Buffer.from(meta.config as string, 'utf8'))).toBe(hash);
    expect(meta.hook_msgs).toMatchObject({ best_score: score });
    checkpoint.close();
  });
});

describe.each(opened)('a hostile file, opened %s', (_how, open) => {
  test.each(hostile.map((each): [string, Case] => [each.name, each]))('%s', async (_name, golden) => {
    const before = process.memoryUsage();
    const start = process.cpuUsage();
    let refusal: CheckpointError | undefined;
    try {
      const checkpoint = await open(golden.file);
      for (const entry of checkpoint.stateDict()) entry.bytes();
      checkpoint.close();
    } catch (error) {
      refusal = error as CheckpointError;
    }
    const after = process.memoryUsage();
    // Processor time: other programs on the machine must not fail this.
    expect(process.cpuUsage(start).user).toBeLessThan(1e6);
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(200e6);
    if (refusal === undefined) {
      expect(golden.expect.policy).toMatch(/accept/);
    } else {
      expect(`${categoryOf(refusal.code)}: ${refusal.message}`).toMatch(
        new RegExp(`^${golden.expect.category}: `),
      );
      expect(refusal.expected).toEqual(expect.any(String));
      expect(refusal.actual).toEqual(expect.any(String));
    }
  });
});

test('nothing in any file was executed', () => {
  expect(existsSync(MARKER)).toBe(false);
  expect(existsSync('/tmp/ff_evil')).toBe(false);
});
