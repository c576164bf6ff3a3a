import type { ModuleHandle, OptionRecord, StateInfo } from '../binding';
import { StateDict, type StateDictEntry } from '../checkpoint/state-dict';
import { checkDevice, checkSeed, type Device } from '../device';
import { checkDType, type DType } from '../dtype';
import { FreqFusionError, invalidArgument } from '../errors';
import { type GraphOptions, graphCapacity, runJob } from '../jobs';
import { native } from '../native';
import { adopt } from '../scope';
import { Tensor } from '../tensor';
import { isExact, type LoadReport, matchState, stateKeysError } from './load-report';

/** Options of {@link Module.loadStateDict}. */
export interface LoadStateOptions {
  /** Throw where a key is missing, unexpected or mismatched (default), or load what fits and report the rest. */
  strict?: boolean;
  /** Take only the keys that start with it, without it: `'decode_head.freqfusions.0.'`. Default: every key. */
  prefix?: string;
}

/** Options of a module's forward and of its other methods. */
export interface RunOptions extends GraphOptions {
  /** Return the intermediate results as well, under `stages`. Default false. */
  stages?: boolean;
}

/** The `stages` of a forward that was asked for them. */
export type Staged<Options extends RunOptions> = Options extends { stages: true }
  ? { stages: Record<string, Tensor> }
  : unknown;

/**
 * A network part with parameters under the names of its PyTorch state dict. It lives in native memory: free it with
 * `dispose()`, `using`, or a surrounding `scope()`. Until `loadStateDict` or `initialize`, weights are 0 and norms 1.
 */
export abstract class Module {
  /** Name of the native module: 'freqfusion', 'segnext', ... */
  readonly kind: string;
  #handle: ModuleHandle | undefined;

  /** @internal Throws ArgumentError for options that the module does not know or cannot run with. */
  protected constructor(kind: string, options: OptionRecord) {
    this.kind = kind;
    this.#handle = native().moduleCreate(kind, options);
    adopt(this);
  }

  /** @internal The native handle; throws ERR_DISPOSED after dispose(). */
  get handle(): ModuleHandle {
    if (this.#handle === undefined) {
      throw new FreqFusionError('ERR_DISPOSED', `module ${this.kind} was used after dispose()`, {
        expected: 'a live module',
        actual: 'a disposed module',
      });
    }
    return this.#handle;
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /** Name, shape, dtype and kind of every parameter and buffer, in the order of the PyTorch state dict. */
  stateInfo(): StateInfo[] {
    return native().moduleState(this.handle);
  }

  /** Number of elements of all parameters; buffers do not count. */
  get parameterCount(): number {
    return this.stateInfo()
      .filter(({ kind }) => kind === 'parameter')
      .reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0);
  }

  /** Element type of the parameters, in which inputs must come. */
  get dtype(): DType {
    return this.stateInfo().find(({ kind }) => kind === 'parameter')?.dtype ?? 'float32';
  }

  /** Where the parameters are, and where inputs must be. */
  get device(): Device {
    const first = this.stateInfo()[0];
    if (first === undefined) return 'cpu';
    using view = new Tensor(native().moduleGet(this.handle, first.name));
    return view.device;
  }

  /**
   * Copies the values of a state dict into the module, converting their dtype and device.
   *
   * Batch counters (`num_batches_tracked`) and Hamming windows may be missing, keys of older releases are renamed
   * (both are in the report), and a leading `module.` of every key is taken off.
   *
   * @throws StateDictError ERR_STATE_KEYS where `strict` and a key is missing, unexpected or mismatched: nothing is
   *   loaded then, and the message names the nearest keys; ERR_STATE_VALUE where a stored constant differs from the
   *   one that the module computes with
   */
  async loadStateDict(
    source: StateDict | Readonly<Record<string, Tensor>>,
    { strict = true, prefix = '' }: LoadStateOptions = {},
  ): Promise<LoadReport> {
    if (typeof strict !== 'boolean') throw invalidArgument('ERR_TYPE', 'strict', 'a boolean', strict);
    if (typeof prefix !== 'string') throw invalidArgument('ERR_TYPE', 'prefix', 'a string', prefix);
    const { report, assignments } = matchState(
      this.stateInfo(),
      unwrapped(toStateDict(source).withPrefix(prefix)),
    );
    if (strict && !isExact(report)) throw stateKeysError(this.kind, report);
    const tensors = assignments.map(({ entry }) => entry.tensor());
    try {
      await native().moduleLoad(
        this.handle,
        assignments.map(({ name }) => name),
        tensors.map(({ handle }) => handle),
      );
    } finally {
      for (const tensor of tensors) tensor.dispose();
    }
    return report;
  }

  /** Every parameter and buffer by name. Tensors share the module's memory: clone one to keep its values. */
  stateDict(): StateDict {
    const handle = this.handle;
    return new StateDict(this.stateInfo().map((info) => stateEntry(handle, info)));
  }

  /**
   * Draws the weights anew by the reference's own initialisation. A seed gives the same values on every device.
   *
   * @param seed an integer from 0 to 2^53 - 1; default 0
   * @throws ArgumentError ERR_RANGE; ERR_NOT_SUPPORTED where the reference has no initialisation
   */
  async initialize(seed = 0): Promise<this> {
    await native().moduleInitialize(this.handle, checkSeed(seed));
    return this;
  }

  /** Moves the module to a device, converts its floating-point state to a dtype, or both. Resolves to itself. */
  async to(target: Device | DType | { device?: Device; dtype?: DType }): Promise<this> {
    const { device, dtype } = typeof target === 'object' && target !== null ? target : parseTarget(target);
    if (dtype !== undefined && !/^b?float/.test(checkDType(dtype))) {
      throw invalidArgument('ERR_DTYPE', 'dtype', 'a floating-point dtype', dtype);
    }
    await native().moduleTo(this.handle, dtype ?? null, device === undefined ? null : checkDevice(device));
    return this;
  }

  /** Frees the parameters. Jobs that run keep them until they end. Safe to call twice. */
  dispose(): void {
    if (this.#handle === undefined) return;
    native().moduleDispose(this.#handle);
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return this.#handle === undefined
      ? `${this.kind} (disposed)`
      : `${this.kind} on ${this.device}, ${this.dtype}`;
  }

  /** Runs one method of the native module as one job; tensors are checked by the caller. */
  protected async run(
    method: string,
    inputs: Readonly<Record<string, Tensor>>,
    options: OptionRecord = {},
    { signal, cudaGraph }: GraphOptions = {},
  ): Promise<Record<string, Tensor>> {
    const handle = this.handle;
    const graphs = graphCapacity(cudaGraph);
    const handles = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, value.handle]));
    const outputs = await runJob(
      signal,
      (job) => native().moduleRun(handle, method, handles, options, job, graphs),
      (late) => {
        for (const output of Object.values(late)) native().tensorDispose(output);
      },
    );
    return Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, new Tensor(output)]));
  }

  /** Runs a method and splits what it returns into the named results and, where asked for, the stages. */
  protected async runStaged<Name extends string, Options extends RunOptions>(
    method: string,
    inputs: Readonly<Record<string, Tensor>>,
    names: readonly Name[],
    options: Options,
  ): Promise<Record<Name, Tensor> & Staged<Options>> {
    const stages = options.stages ?? false;
    if (typeof stages !== 'boolean') throw invalidArgument('ERR_TYPE', 'stages', 'a boolean', stages);
    const outputs = await this.run(method, inputs, { stages }, options);
    const results = Object.fromEntries(names.map((name) => [name, outputs[name]!]));
    if (!stages) return results as never;
    const rest = Object.entries(outputs).filter(([name]) => !(names as readonly string[]).includes(name));
    return { ...results, stages: Object.fromEntries(rest) } as never;
  }
}

function toStateDict(source: unknown): StateDict {
  if (source instanceof StateDict) return source;
  if (typeof source === 'object' && source !== null && !Array.isArray(source)) {
    return StateDict.from(source as Record<string, Tensor>);
  }
  throw invalidArgument('ERR_TYPE', 'stateDict', 'a StateDict or an object of tensors', source);
}

// torch.nn.DataParallel puts its own name before every key.
function unwrapped(dict: StateDict): StateDict {
  const wrapped = dict.size > 0 && dict.names().every((name) => name.startsWith('module.'));
  return wrapped ? dict.withPrefix('module.') : dict;
}

function stateEntry(module: ModuleHandle, { name, dtype, shape }: StateInfo): StateDictEntry {
  const tensor = () => new Tensor(native().moduleGet(module, name));
  return {
    name,
    dtype,
    shape,
    tensor,
    bytes: () => {
      using view = tensor();
      const { buffer, byteOffset, byteLength } = view.dataSync();
      return new Uint8Array(buffer, byteOffset, byteLength);
    },
  };
}

function parseTarget(target: string): { device?: Device; dtype?: DType } {
  return /^(cpu|cuda(:\d+)?)$/.test(target)
    ? { device: target as Device }
    : { dtype: checkDType(target, 'target of to()') };
}
