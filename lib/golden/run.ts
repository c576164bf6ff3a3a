import type { Device } from '../device';
import type { DType } from '../dtype';
import type { Module } from '../modules/module';
import { Tensor, tensor } from '../tensor';
import type { GoldenCase, GoldenInput } from './case';
import type { HostArray } from './compare';
import { Config, camelCase } from './config';
import { GoldenError } from './error';
import { isFloating, readStored } from './store';
import { uniform, weight } from './synth';

/** Something about a case that is right or wrong beside its numbers. */
export interface Check {
  name: string;
  ok: boolean;
  /** What is wrong; or, where it is right, what was seen. */
  detail: string;
}

/** What a family's runner gives back: named outputs, by the names of the case file, and checks. */
export interface RunResult {
  outputs: Record<string, Tensor | HostArray>;
  checks?: Check[];
  /** The case allows a refusal, and the file was refused: there are no outputs to compare. */
  waived?: boolean;
}

/** Runs the cases of one family through the public API. */
export interface FamilyRunner {
  readonly family: string;
  run(run: CaseRun): Promise<RunResult>;
}

/** Where and in which element type a case runs. */
export interface RunTarget {
  device: Device;
  dtype: DType;
}

/** A case on its way: its inputs, parameters and options in the form that runners need. */
export class CaseRun {
  readonly config: Config;
  #stored: Map<string, HostArray> | undefined;

  constructor(
    readonly golden: GoldenCase,
    readonly target: RunTarget,
  ) {
    this.config = new Config(golden.config);
  }

  /** Whether the case has an input of this name. */
  hasInput(name: string): boolean {
    return this.golden.inputs.some((input) => input.name === name);
  }

  /** Whether the case expects an output of this name. */
  wants(name: string): boolean {
    return this.golden.outputs.some((output) => output.name === name);
  }

  /** An input's values as the case defines them. */
  async values(name: string): Promise<HostArray> {
    const input = this.golden.inputs.find((each) => each.name === name);
    if (input === undefined) throw new GoldenError(`inputs: "${name}" is missing`);
    if (input.range === undefined) return this.#storedValues(name, input.shape);
    return synthetic(input, input.range, this.golden.seed);
  }

  /** An input as a tensor on the run's device, floating-point values in the run's dtype. */
  async input(name: string): Promise<Tensor> {
    return this.place(await this.values(name));
  }

  /** Values as a tensor on the run's device, floating-point values in the run's dtype. */
  place({ data, shape, dtype }: HostArray): Tensor {
    const made = tensor(data as unknown as ArrayBufferView, shape, { dtype });
    return isFloating(dtype)
      ? made.to({ dtype: this.target.dtype, device: this.target.device })
      : made.to(this.target.device);
  }

  /** The parameters that the case gives values to: all but the constants that a module keeps. */
  async parameters(): Promise<Record<string, Tensor>> {
    const made: Record<string, Tensor> = {};
    for (const { name, shape, how, of } of this.golden.parameters) {
      if (how === 'synth') {
        made[name] = tensor(weight(name, shape, this.golden.seed, this.golden.gains), shape);
      } else if (how === 'stored') {
        const { data, dtype } = await this.#storedValues(name, shape);
        made[name] = tensor(data as unknown as ArrayBufferView, shape, { dtype });
      } else if (how === 'alias' && of !== undefined && made[of] !== undefined) {
        made[name] = made[of];
      }
    }
    return made;
  }

  /**
   * Fills a module with the case's parameters and moves it; says whether its state dict is the one of the case. A
   * part of a larger model takes the parameters whose names start with `prefix`, which must be all of them.
   */
  async load(module: Module, prefix = ''): Promise<Check[]> {
    const wanted = this.golden.parameters.map(({ name, shape }) => `${name} [${shape.join(', ')}]`);
    const have = module.stateInfo().map(({ name, shape }) => `${prefix}${name} [${shape.join(', ')}]`);
    const at = wanted.findIndex((entry, i) => entry !== have[i]);
    const odd = at >= 0 ? at : have.length > wanted.length ? wanted.length : -1;
    const checks: Check[] = [
      odd < 0
        ? { name: 'state dict', ok: true, detail: `${have.length} entries` }
        : {
            name: 'state dict',
            ok: false,
            detail: `entry ${odd}: expected ${wanted[odd] ?? 'no more'}, got ${have[odd] ?? 'no more'}`,
          },
    ];
    const report = await module.loadStateDict(await this.parameters(), { strict: false, prefix });
    const kept = new Set(this.golden.parameters.filter(({ how }) => how === 'kept').map(({ name }) => name));
    const missing = report.missing.filter((name) => !kept.has(`${prefix}${name}`));
    const wrong = [...missing, ...report.unexpected, ...report.mismatched.map(({ name }) => name)];
    if (wrong.length > 0)
      checks.push({ name: 'loaded', ok: false, detail: `not loaded: ${wrong.slice(0, 5).join(', ')}` });
    await module.to({ dtype: this.target.dtype, device: this.target.device });
    return checks;
  }

  async #storedValues(name: string, shape: readonly number[]): Promise<HostArray> {
    this.#stored ??= await readStored(this.golden.folder, 'inputs.safetensors');
    const stored = this.#stored.get(name);
    if (stored === undefined) throw new GoldenError(`inputs.safetensors: "${name}" is missing`);
    if (stored.shape.length !== shape.length || stored.shape.some((side, i) => side !== shape[i])) {
      throw new GoldenError(
        `inputs.safetensors: expected shape [${shape.join(', ')}] for "${name}", got [${stored.shape.join(', ')}]`,
      );
    }
    return stored;
  }
}

function synthetic(
  { name, shape }: GoldenInput,
  [low, high]: readonly [number, number],
  seed: number,
): HostArray {
  return { dtype: 'float32', shape, data: uniform(`input/${name}`, shape, low, high, seed) };
}

/** Copies an output off its device. */
export async function toHost(value: Tensor | HostArray): Promise<HostArray> {
  if (!(value instanceof Tensor)) return value;
  return { dtype: value.dtype, shape: value.shape, data: (await value.data()) as HostArray['data'] };
}

/** Renames a module's camelCase outputs to the names that the case asks for; those that it does not ask for fall away. */
export function named(run: CaseRun, outputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  const result: Record<string, Tensor> = {};
  for (const { name } of run.golden.outputs) {
    const value = outputs[camelCase(name)] ?? outputs[name];
    if (value !== undefined) result[name] = value;
  }
  return result;
}
