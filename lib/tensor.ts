import type { TensorHandle } from './binding';
import { checkDevice, type Device } from './device';
import { checkDType, type DataOf, DTYPE_BYTES, type DType, viewAs } from './dtype';
import { FreqFusionError, invalidArgument } from './errors';
import { native } from './native';
import { adopt } from './scope';
import { checkShape, type DTypeOfSource, type TensorSource, toBytes } from './tensor-source';

export type { TensorSource } from './tensor-source';

/** Options of {@link tensor}. */
export interface TensorOptions<D extends DType> {
  /** Default: the typed array's own type; float32 for plain arrays. */
  dtype?: D;
  /** Borrow the typed array's memory instead of copying it. The array must not change while the tensor lives. */
  share?: boolean;
  /** Default: 'cpu'. */
  device?: Device;
}

/**
 * A handle on a libtorch tensor. Its shape, dtype and device never change. Free it with `dispose()`, `using`, or
 * a surrounding `scope()`; garbage collection is the net under them.
 */
export class Tensor<D extends DType = DType> {
  readonly shape: readonly number[];
  readonly dtype: D;
  readonly device: Device;
  readonly #strides: readonly number[];
  #handle: TensorHandle | undefined;

  /** @internal Takes over a native handle. */
  constructor(handle: TensorHandle) {
    const info = native().tensorInfo(handle);
    this.shape = Object.freeze(info.shape);
    this.dtype = info.dtype as D;
    this.device = info.device as Device;
    this.#strides = Object.freeze(info.strides);
    this.#handle = handle;
    adopt(this);
  }

  /** @internal The native handle; throws ERR_DISPOSED after dispose(). */
  get handle(): TensorHandle {
    if (this.#handle === undefined) {
      throw new FreqFusionError(
        'ERR_DISPOSED',
        `tensor [${this.shape.join(', ')}] was used after dispose()`,
        {
          expected: 'a live tensor',
          actual: 'a disposed tensor',
        },
      );
    }
    return this.#handle;
  }

  /** Steps between neighbours along each dimension, in elements. */
  get strides(): readonly number[] {
    return this.#strides;
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, side) => product * side, 1);
  }

  /** Bytes of the elements, without gaps that a view may have. */
  get byteLength(): number {
    return this.size * DTYPE_BYTES[this.dtype];
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /** Copies the elements in C order, off the event loop. */
  async data(): Promise<DataOf<D>> {
    return viewAs(await native().tensorData(this.handle), this.dtype);
  }

  /** Copies the elements in C order at once; blocks until the device has them. */
  dataSync(): DataOf<D> {
    return viewAs(native().tensorDataSync(this.handle), this.dtype);
  }

  /** The value of a one-element tensor. Throws ERR_SHAPE for any other. */
  item(): D extends 'int64' ? bigint : D extends 'bool' ? boolean : number {
    if (this.size !== 1) throw invalidArgument('ERR_SHAPE', 'item()', 'a tensor of one element', this);
    return native().tensorItem(this.handle) as never;
  }

  /** The same elements on another device. Returns a new handle even where nothing has to move. */
  to(device: Device): Tensor<D>;
  /** The same elements converted to another dtype. */
  to<E extends DType>(dtype: E): Tensor<E>;
  to<E extends DType>(target: { dtype?: E; device?: Device }): Tensor<E>;
  to(target: string | { dtype?: DType; device?: Device }): Tensor {
    if (typeof target === 'object' && target !== null) {
      const dtype = target.dtype === undefined ? null : checkDType(target.dtype);
      const device = target.device === undefined ? null : checkDevice(target.device);
      return new Tensor(native().tensorTo(this.handle, dtype, device));
    }
    if (typeof target === 'string' && /^(cpu|cuda(:\d+)?)$/.test(target)) {
      return new Tensor(native().tensorTo(this.handle, null, checkDevice(target)));
    }
    return new Tensor(native().tensorTo(this.handle, checkDType(target, 'target of to()'), null));
  }

  /** Another shape over the same elements; one side may be -1. Copies only where a view cannot have that shape. */
  reshape(shape: readonly number[]): Tensor<D> {
    const wanted = checkShape(shape, { inferred: true });
    const known = wanted.reduce((product, side) => (side === -1 ? product : product * side), 1);
    const fits = wanted.includes(-1) ? known > 0 && this.size % known === 0 : known === this.size;
    if (!fits) {
      throw invalidArgument('ERR_SHAPE', 'reshape()', `a shape of ${this.size} elements`, shape);
    }
    return new Tensor<D>(native().tensorReshape(this.handle, wanted));
  }

  /** A view of the elements start, start + step, ... before end along one dimension; negative indices count from the end. */
  slice(dim: number, start: number, end: number = this.shape[this.#dim(dim)]!, step = 1): Tensor<D> {
    const axis = this.#dim(dim);
    if (!Number.isSafeInteger(step) || step < 1)
      throw invalidArgument('ERR_RANGE', 'step', 'an integer from 1', step);
    for (const [name, value] of [
      ['start', start],
      ['end', end],
    ] as const) {
      if (!Number.isSafeInteger(value)) throw invalidArgument('ERR_RANGE', name, 'an integer', value);
    }
    return new Tensor<D>(native().tensorSlice(this.handle, axis, start, end, step));
  }

  /** A view with its dimensions in another order. */
  permute(dims: readonly number[]): Tensor<D> {
    const order = Array.isArray(dims) ? dims.map((dim) => this.#dim(dim)) : [];
    if (order.length !== this.rank || new Set(order).size !== this.rank) {
      throw invalidArgument('ERR_SHAPE', 'permute()', `each of the ${this.rank} dimensions once`, dims);
    }
    return new Tensor<D>(native().tensorPermute(this.handle, order));
  }

  /** A copy in memory of its own. */
  clone(): Tensor<D> {
    return new Tensor<D>(native().tensorClone(this.handle));
  }

  /** The same elements packed in C order, or in channels-last order for [N, C, H, W]. */
  contiguous(layout: 'default' | 'channels-last' = 'default'): Tensor<D> {
    if (layout === 'channels-last' && this.rank !== 4) {
      throw invalidArgument('ERR_SHAPE', 'contiguous()', 'a tensor [N, C, H, W]', this);
    }
    return new Tensor<D>(native().tensorContiguous(this.handle, layout === 'channels-last'));
  }

  /** Frees the handle. The memory goes when no view, module or running job holds it. Safe to call twice. */
  dispose(): void {
    if (this.#handle === undefined) return;
    native().tensorDispose(this.#handle);
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor<${this.dtype}>[${this.shape.join(', ')}] on ${this.device}`;
  }

  #dim(dim: number): number {
    const axis = dim < 0 ? dim + this.rank : dim;
    if (!Number.isInteger(axis) || axis < 0 || axis >= this.rank) {
      throw invalidArgument('ERR_RANGE', 'dim', `an integer from ${-this.rank} to ${this.rank - 1}`, dim);
    }
    return axis;
  }
}

/**
 * Makes a tensor from a typed array, raw bytes or plain numbers. Throws ERR_SHAPE where the shape does not fit the
 * elements, ERR_DTYPE where the array's type does not fit the dtype, ERR_TYPE for anything else.
 */
export function tensor<S extends TensorSource, D extends DType = DTypeOfSource<S>>(
  source: S,
  shape?: readonly number[],
  options: TensorOptions<D> = {},
): Tensor<D> {
  const { share = false, device = 'cpu' } = options;
  checkDevice(device);
  const { bytes, dtype, natural } = toBytes(source, options.dtype);
  const sides = shape === undefined ? natural : checkShape(shape);
  const count = sides.reduce((product, side) => product * side, 1);
  const have = bytes.byteLength / DTYPE_BYTES[dtype];
  if (count !== have) {
    throw invalidArgument('ERR_SHAPE', 'shape', `a shape of ${have} elements`, sides);
  }
  const made = new Tensor<D>(native().tensorFromBytes(bytes, dtype, sides, share));
  if (device === 'cpu') return made;
  const moved = made.to(device);
  made.dispose();
  return moved;
}

/** A tensor of zeros. */
export function zeros<D extends DType = 'float32'>(
  shape: readonly number[],
  options: { dtype?: D; device?: Device } = {},
): Tensor<D> {
  return full(shape, 0, options);
}

/** A tensor with one value everywhere. */
export function full<D extends DType = 'float32'>(
  shape: readonly number[],
  value: number,
  options: { dtype?: D; device?: Device } = {},
): Tensor<D> {
  const dtype = checkDType(options.dtype ?? 'float32');
  return new Tensor<D>(
    native().tensorFull(checkShape(shape), value, dtype, checkDevice(options.device ?? 'cpu')),
  );
}

/** Joins tensors of one dtype and device along a dimension; all other sides must agree (ERR_SHAPE). */
export function cat<D extends DType>(tensors: readonly Tensor<D>[], dim = 0): Tensor<D> {
  const first = tensors[0];
  if (first === undefined) throw invalidArgument('ERR_SHAPE', 'cat()', 'at least one tensor', tensors);
  const axis = dim < 0 ? dim + first.rank : dim;
  if (!Number.isInteger(axis) || axis < 0 || axis >= first.rank) {
    throw invalidArgument('ERR_RANGE', 'dim', `an integer from ${-first.rank} to ${first.rank - 1}`, dim);
  }
  for (const other of tensors) {
    checkSame('dtype', first.dtype, other.dtype);
    checkSame('device', first.device, other.device);
    if (other.rank !== first.rank || other.shape.some((side, i) => i !== axis && side !== first.shape[i])) {
      const expected = `[${first.shape.map((side, i) => (i === axis ? '*' : side)).join(', ')}]`;
      throw invalidArgument('ERR_SHAPE', 'cat()', `tensors of shape ${expected}`, other.shape);
    }
  }
  return new Tensor<D>(
    native().tensorCat(
      tensors.map((each) => each.handle),
      axis,
    ),
  );
}

function checkSame(what: 'dtype' | 'device', expected: string, actual: string): void {
  if (expected !== actual) {
    throw invalidArgument(
      what === 'dtype' ? 'ERR_DTYPE' : 'ERR_DEVICE',
      'cat()',
      `tensors of ${what} ${expected}`,
      actual,
    );
  }
}
