import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Checkpoint } from '../../checkpoint/checkpoint';
import { categoryOf } from '../../checkpoint/codes';
import { CheckpointError } from '../../errors';
import { boolean, count, type JsonObject, object, string } from '../case';
import type { HostArray } from '../compare';
import { GoldenError } from '../error';
import type { CaseRun, Check, FamilyRunner, RunResult } from '../run';
import { hostEntry } from '../store';
import { checkExpectations, type FoundTensor } from './checkpoint-expect';
import { checkForward } from './checkpoint-forward';
import { Surroundings } from './surroundings';

/** Seconds that a reader may take for any file of this family. */
const TIME_LIMIT = 1;

const POLICIES = ['refuse', 'accept-or-refuse', 'opaque-or-refuse', 'ignore-or-refuse'];

/** Everything that a correct, safe reader shows of a file, or the refusal that it must give. */
export const checkpointFamily: FamilyRunner = {
  family: 'checkpoint',
  async run(run) {
    const { folder, extra } = run.golden;
    const expect = object(extra.expect, 'expect');
    const name = string(extra.file, 'file');
    if (name !== basename(name) || name === '..')
      throw new GoldenError(`file: expected a plain name, got "${name}"`);
    const file = join(folder, name);
    const checks = [checkFile(file, extra)];
    // What the file's bytes say of the model is checked by its tensors: no module is built from it.
    run.config.value('model');
    const surroundings = new Surroundings(folder, `${run.golden.what} ${expect.why ?? ''}`);
    const reading = await readTimed(file);
    checks.push(surroundings.check(), {
      name: 'time',
      ok: reading.seconds < TIME_LIMIT,
      detail: `${reading.seconds.toFixed(3)} s of ${TIME_LIMIT} s`,
    });
    const { checks: more = [], ...rest } = await judge(run, file, expect, reading);
    return { ...rest, checks: [...checks, ...more] };
  },
};

/** What came of reading a file whole. */
interface Reading {
  seconds: number;
  tensors?: Map<string, FoundTensor>;
  error?: unknown;
}

async function judge(run: CaseRun, file: string, expect: JsonObject, reading: Reading): Promise<RunResult> {
  const policy = expect.policy === undefined ? undefined : string(expect.policy, 'expect.policy');
  if (policy !== undefined && !POLICIES.includes(policy))
    throw new GoldenError(`expect.policy: unknown "${policy}"`);
  const either = policy !== undefined && policy !== 'refuse';
  const ok = boolean(expect.ok, 'expect.ok');
  const category = expect.category === undefined ? undefined : string(expect.category, 'expect.category');
  if (!ok && category === undefined) throw new GoldenError('expect.category: expected a string, got nothing');
  if (reading.tensors === undefined) {
    if (ok && !either) return { outputs: {}, checks: [refused(reading.error)] };
    return { outputs: {}, checks: [checkRefusal(reading.error, category)], waived: true };
  }
  if (!ok) {
    const seen = `accepted, ${reading.tensors.size} tensors`;
    const detail = either ? seen : `${seen}; expected a refusal of category ${category}`;
    return { outputs: {}, checks: [{ name: 'refusal', ok: either, detail }] };
  }
  const outputs = Object.fromEntries(
    [...reading.tensors].map(([name, { dtype, shape, data }]): [string, HostArray] => [
      name,
      { dtype, shape, data },
    ]),
  );
  const checks = await checkExpectations(run.golden, file, expect, reading.tensors);
  if (run.golden.extra.forward !== undefined) checks.push(...(await checkForward(run, file)));
  return { outputs, checks };
}

/** Reads all that a file holds; a second try, where the first was slow, tells a busy machine from a slow reader. */
async function readTimed(file: string): Promise<Reading> {
  const first = await readWhole(file);
  if (first.seconds < TIME_LIMIT) return first;
  const second = await readWhole(file);
  return second.seconds < first.seconds ? second : first;
}

async function readWhole(file: string): Promise<Reading> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = await Checkpoint.open(file);
    const tensors = new Map<string, FoundTensor>();
    for (const entry of checkpoint.stateDict({ raw: true })) {
      const sha256 = createHash('sha256').update(entry.bytes()).digest('hex');
      tensors.set(entry.name, { ...hostEntry(entry), sha256 });
    }
    return { seconds: seconds(), tensors };
  } catch (error) {
    return { seconds: seconds(), error };
  } finally {
    checkpoint?.close();
  }
}

function checkFile(file: string, extra: JsonObject): Check {
  const bytes = readFileSync(file);
  const size = extra.file_bytes === undefined ? bytes.length : count(extra.file_bytes, 'file_bytes');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const expected = extra.file_sha256 === undefined ? sha256 : string(extra.file_sha256, 'file_sha256');
  const ok = size === bytes.length && sha256 === expected;
  return {
    name: 'file',
    ok,
    detail: ok ? `${size} bytes` : 'the file is not the one that case.json describes',
  };
}

function refused(error: unknown): Check {
  const said = error instanceof Error ? error.message : String(error);
  return { name: 'reading', ok: false, detail: `refused: ${said}` };
}

/** A refusal is right where it is a CheckpointError of the expected category. */
function checkRefusal(error: unknown, category: string | undefined): Check {
  if (!(error instanceof CheckpointError)) {
    const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { name: 'refusal', ok: false, detail: `expected a CheckpointError, got ${said}` };
  }
  const got = categoryOf(error.code);
  const ok = got !== undefined && (category === undefined || got === category);
  const detail = ok
    ? `${got}: ${error.code}`
    : `expected category ${category}, got ${got} (${error.code}: ${error.message})`;
  return { name: 'refusal', ok, detail };
}
