// What a user of the ES module writes. Compiled against the package's own types, never run.
import {
  ArgumentError,
  carafe,
  type DType,
  type MemoryStats,
  memoryStats,
  scope,
  Tensor,
  tensor,
} from 'freqfusion';

const features: Tensor<'float32'> = tensor(new Float32Array(4), [1, 1, 2, 2]);
const masks = tensor(new Float32Array(9 * 16), [1, 9, 4, 4]);
const output: Tensor<'float32'> = await carafe(features, masks, { kernelSize: 3, border: 'reflect' });
export const values: Float32Array = await output.data();
export const shape: readonly number[] = output.shape;
export const stats: MemoryStats = memoryStats();
export const names: DType[] = ['float32', 'int64', 'bfloat16'];

const integers = tensor(new BigInt64Array(1), [1]);
export const big: BigInt64Array = await integers.data();

{
  using borrowed = tensor(new Float32Array(1), [1]);
  if (!(borrowed instanceof Tensor)) throw new ArgumentError('ERR_DTYPE', 'unreachable');
}
scope(() => tensor(new Float32Array(1), [1]));

// @ts-expect-error a border that does not exist
await carafe(features, masks, { border: 'replicate' });
// @ts-expect-error the elements of another dtype
export const wrong: BigInt64Array = await features.data();
// @ts-expect-error an option with a typo
await carafe(features, masks, { kernelsize: 3 });
