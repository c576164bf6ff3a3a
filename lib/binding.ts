import type { DType } from './dtype';

declare const tensorBrand: unique symbol;
declare const moduleBrand: unique symbol;
declare const fileBrand: unique symbol;

/** A type-tagged external that holds an at::Tensor. */
export interface TensorHandle {
  readonly [tensorBrand]: true;
}
/** A type-tagged external that holds a native module. */
export interface ModuleHandle {
  readonly [moduleBrand]: true;
}
/** A type-tagged external that holds a memory-mapped file. */
export interface MappedFileHandle {
  readonly [fileBrand]: true;
}

/** What the native options parser takes: JSON-like values. `undefined` members are left out. */
export type OptionValue =
  | null
  | undefined
  | boolean
  | number
  | string
  | readonly OptionValue[]
  | OptionRecord;
/** An options object for a native operator or module. */
export interface OptionRecord {
  readonly [key: string]: OptionValue;
}

export interface TensorInfo {
  dtype: DType;
  shape: number[];
  /** In elements. */
  strides: number[];
  device: string;
  /** Bytes of the storage that this handle keeps alive. */
  bytes: number;
}

export interface NativeInfo {
  torch: string;
  cuda: boolean;
  cudaDevices: number;
  /** Instruction set that the CPU kernels chose: "baseline", "avx2" or "avx512". */
  cpuCapability: string;
  moduleKinds: string[];
  napi: number;
}

export interface NativeMemory {
  liveTensors: number;
  liveModules: number;
  /** Bytes that live handles keep, each storage counted once per handle. */
  tensorBytes: number;
  /** Bytes that the caching CPU allocator has handed out and holds free; 0 where it is off. */
  allocatedBytes: number;
  cachedBytes: number;
  pendingJobs: number;
}

/** One GPU's memory. `allocated`, `reserved` and `peak` are this process's. */
export interface NativeDeviceMemory {
  /** Bytes in tensors. */
  allocatedBytes: number;
  /** Bytes that the caching allocator holds: those of tensors, and those that it keeps for the next ones. */
  reservedBytes: number;
  /** Greatest `allocatedBytes` so far. */
  peakBytes: number;
  /** Bytes that the driver can still give. */
  freeBytes: number;
  /** Bytes of the device. */
  totalBytes: number;
  /** CUDA graphs of this thread's modules. */
  graphs: number;
}

/** How timeOperator and timeModule measure. */
export type TimingPlan = {
  /** Runs before the timed ones. Default 3; CUDA graphs need 2 at least. */
  readonly warmup?: number;
  /** Timed runs. Default 20. */
  readonly repeats?: number;
  /** Bytes written before each timed run, so that its inputs come from memory and not from a cache. Default 0. */
  readonly flushBytes?: number;
};

/** What timeOperator and timeModule measured. */
export interface Timing {
  /**
   * Of each timed run. On a GPU: between two CUDA events in the device's stream, so of the work alone, as long as the
   * flush before it takes longer than launching it; on the CPU: of the job, without the way to JavaScript and back.
   */
  milliseconds: number[];
  /** Bytes in the GPU's tensors before the first timed run, inputs included, and at most during one; 0 on the CPU. */
  baseBytes: number;
  peakBytes: number;
}

export interface StateInfo {
  name: string;
  dtype: DType;
  shape: number[];
  kind: 'parameter' | 'buffer';
}

/**
 * The functions of the addon, one to one with native/node. Everything that computes returns a promise and runs
 * on the device's queue; everything else is immediate. Public classes wrap these: nothing else may call them.
 */
export interface Binding {
  info(): NativeInfo;
  memory(): NativeMemory;
  /** A GPU's; ERR_DEVICE for the CPU. */
  deviceMemory(device: string): NativeDeviceMemory;
  /** Sets a GPU's `peakBytes` to what is allocated now. */
  resetPeakMemory(device: string): void;
  /** Resolves when all that was started on the device before has been done. */
  synchronize(device: string): Promise<void>;
  emptyCache(): void;
  setThreads(count: number): void;
  getThreads(): number;
  setSeed(seed: number): void;
  /** Copies `bytes` and runs multiply-adds `repeats` times: GB/s with plain and with streaming stores, GFLOP/s. */
  measureRoofs(bytes: number, repeats: number): Promise<{ copy: number[]; stream: number[]; fma: number[] }>;

  /** Copies the bytes, or borrows them (and keeps the buffer alive) when share is true. */
  tensorFromBytes(
    bytes: ArrayBufferView | ArrayBuffer,
    dtype: DType,
    shape: readonly number[],
    share: boolean,
  ): TensorHandle;
  /** A view of mapped bytes; strides in elements. The file stays mapped while the tensor lives. */
  tensorFromMapped(
    file: MappedFileHandle,
    byteOffset: number,
    dtype: DType,
    shape: readonly number[],
    strides: readonly number[],
  ): TensorHandle;
  tensorFull(shape: readonly number[], value: number, dtype: DType, device: string): TensorHandle;
  tensorInfo(tensor: TensorHandle): TensorInfo;
  tensorDispose(tensor: TensorHandle): void;
  tensorClone(tensor: TensorHandle): TensorHandle;
  tensorReshape(tensor: TensorHandle, shape: readonly number[]): TensorHandle;
  tensorSlice(tensor: TensorHandle, dim: number, start: number, end: number, step: number): TensorHandle;
  tensorPermute(tensor: TensorHandle, dims: readonly number[]): TensorHandle;
  tensorContiguous(tensor: TensorHandle, channelsLast: boolean): TensorHandle;
  tensorCat(tensors: readonly TensorHandle[], dim: number): TensorHandle;
  tensorTo(tensor: TensorHandle, dtype: DType | null, device: string | null): TensorHandle;
  tensorItem(tensor: TensorHandle): number | bigint | boolean;
  /** The elements in logical (C) order. */
  tensorData(tensor: TensorHandle): Promise<ArrayBuffer>;
  tensorDataSync(tensor: TensorHandle): ArrayBuffer;

  /** Maps a file read-only (private). The buffer views the whole file without a copy. */
  mapFile(path: string): { handle: MappedFileHandle; buffer: ArrayBuffer };
  unmapFile(file: MappedFileHandle): void;

  /** Runs an operator by name; `job` is the id that cancelJob takes. */
  runOperator(
    name: string,
    inputs: Readonly<Record<string, TensorHandle>>,
    options: OptionRecord,
    job: number,
  ): Promise<Record<string, TensorHandle>>;
  cancelJob(job: number): boolean;
  /** Drops what is queued, waits for what runs, and refuses later jobs. */
  shutdown(): void;

  moduleCreate(kind: string, options: OptionRecord): ModuleHandle;
  moduleDispose(module: ModuleHandle): void;
  moduleState(module: ModuleHandle): StateInfo[];
  /** A view of a parameter or buffer, sharing its memory. */
  moduleGet(module: ModuleHandle, name: string): TensorHandle;
  /** Copies values into parameters and buffers, converting the dtype; names and shapes must match. */
  moduleLoad(module: ModuleHandle, names: readonly string[], tensors: readonly TensorHandle[]): Promise<void>;
  moduleInitialize(module: ModuleHandle, seed: number): Promise<void>;
  moduleTo(module: ModuleHandle, dtype: DType | null, device: string | null): Promise<void>;
  moduleRun(
    module: ModuleHandle,
    method: string,
    inputs: Readonly<Record<string, TensorHandle>>,
    options: OptionRecord,
    job: number,
    /** How many CUDA graphs the module keeps; 0: it runs without them. ERR_DEVICE where it is on the CPU. */
    graphs: number,
  ): Promise<Record<string, TensorHandle>>;

  /** Runs an operator several times as one job and times each run; see {@link TimingPlan}. */
  timeOperator(
    name: string,
    inputs: Readonly<Record<string, TensorHandle>>,
    options: OptionRecord,
    plan: TimingPlan,
  ): Promise<Timing>;
  /** The same of a copy of `bytes` within the device's memory. */
  timeCopy(device: string, bytes: number, plan: TimingPlan): Promise<Timing>;
  /** The same of a module's method; `graphs` as moduleRun's. */
  timeModule(
    module: ModuleHandle,
    method: string,
    inputs: Readonly<Record<string, TensorHandle>>,
    options: OptionRecord,
    graphs: number,
    plan: TimingPlan,
  ): Promise<Timing>;
}
