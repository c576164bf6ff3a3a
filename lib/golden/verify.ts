import type { Device } from '../device';
import type { DType } from '../dtype';
import { FreqFusionError } from '../errors';
import { scope } from '../scope';
import type { Tensor } from '../tensor';
import { type GoldenCase, readCase } from './case';
import { type Comparison, compare, type HostArray, missing, PRECISION } from './compare';
import { familyRunner } from './families/index';
import { CaseRun, type Check, toHost } from './run';
import { readStored } from './store';

/** How a case ended: an unknown family alone is skipped, and only where that is allowed. */
export type CaseStatus = 'passed' | 'failed' | 'skipped';

/** The outcome of one case. */
export interface CaseResult {
  folder: string;
  family: string;
  name: string;
  status: CaseStatus;
  outputs: Comparison[];
  checks: Check[];
  /** Why the case could not be run; undefined where it ran. */
  error?: string;
  seconds: number;
}

/** Options of {@link verifyCase}. */
export interface VerifyOptions {
  /** Default 'cpu'. */
  device?: Device;
  /** Element type to compute in. Default 'float32'. */
  dtype?: DType;
  /** Skip families that the verifier does not know instead of failing. Default false. */
  allowUnknown?: boolean;
}

/**
 * Runs one case folder through the package's public functions and compares what comes out with what is stored.
 * Never throws: a broken case, an option that is not known or an error on the way is a failure with its reason.
 */
export async function verifyCase(folder: string, options: VerifyOptions = {}): Promise<CaseResult> {
  const started = performance.now();
  const result: CaseResult = {
    folder,
    family: '',
    name: '',
    status: 'failed',
    outputs: [],
    checks: [],
    seconds: 0,
  };
  try {
    const golden = readCase(folder);
    result.family = golden.family;
    result.name = golden.name;
    await scope(() => runCase(golden, options, result));
  } catch (error) {
    result.status = 'failed';
    result.error = reason(error);
  }
  result.seconds = (performance.now() - started) / 1000;
  return result;
}

async function runCase(golden: GoldenCase, options: VerifyOptions, result: CaseResult): Promise<void> {
  const runner = familyRunner(golden.family);
  if (runner === undefined) {
    result.error = `unknown family "${golden.family}"`;
    if (options.allowUnknown === true) result.status = 'skipped';
    return;
  }
  const { device = 'cpu', dtype = 'float32' } = options;
  const run = new CaseRun(golden, { device, dtype });
  const { outputs, checks = [], waived = false } = await runner.run(run);
  run.config.finish();
  result.checks = checks;
  result.outputs = waived ? [] : await compareOutputs(golden, outputs, dtype);
  const nothing = result.outputs.length === 0 && checks.length === 0;
  if (nothing) result.error = 'the case expects nothing';
  const ok = !nothing && result.outputs.every((each) => each.ok) && checks.every((each) => each.ok);
  result.status = ok ? 'passed' : 'failed';
}

async function compareOutputs(
  golden: GoldenCase,
  outputs: Readonly<Record<string, Tensor | HostArray>>,
  dtype: DType,
): Promise<Comparison[]> {
  if (golden.outputs.length === 0) return [];
  const stored = await readStored(golden.folder, 'outputs.safetensors');
  const compared: Comparison[] = [];
  for (const expected of golden.outputs) {
    const want = stored.get(expected.name);
    const got = Object.hasOwn(outputs, expected.name) ? outputs[expected.name] : undefined;
    if (want === undefined)
      compared.push({ ...missing(expected.name), detail: 'outputs.safetensors does not hold it' });
    else if (got === undefined) compared.push(missing(expected.name));
    else compared.push(compare(expected, want, await toHost(got), PRECISION[dtype]));
  }
  return compared;
}

/** The reason of a failure in one line. */
export function reason(error: unknown): string {
  if (error instanceof FreqFusionError) return `${error.message.split('\n')[0]} (${error.code})`;
  return error instanceof Error ? error.message.split('\n')[0]! : String(error);
}
