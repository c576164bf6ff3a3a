import { checkBoolean } from '../check';
import type { DType } from '../dtype';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { type Border, checkWindows } from './carafe';
import { runOperator } from './run';

/** Options of {@link highPass}. */
export interface HighPassOptions extends JobOptions {
  /** Side k of the low-pass window: odd, 1 to 31. Default 3. */
  kernelSize?: number;
  /** Channel groups, each with masks of its own; divides C. Default 1. */
  groups?: number;
  /** What a tap reads outside the map, as in {@link CarafeOptions.border}. Default 'zeros'. */
  border?: Border;
  /** true (default): the map plus its high frequencies, 2x - low(x). false: the high frequencies alone, x - low(x). */
  residual?: boolean;
}

/**
 * Content-aware high-pass filter, in one pass over memory: low(x) is the {@link carafe} of x with scale 1, a k x k
 * window around every pixel weighted by the pixel's own kernel.
 *
 * @param x [N, C, H, W], float32, float64, float16 or bfloat16 (halves accumulate in float32)
 * @param masks [N, groups * k * k, H, W]; channel (group * k + row) * k + column
 * @returns [N, C, H, W]
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_RANGE, ERR_OPTION_VALUE; AbortError ERR_ABORTED
 *
 * Source: FreqFusion, TPAMI 2024 (the adaptive high-pass filter generator).
 */
export async function highPass<D extends DType>(
  x: Tensor<D>,
  masks: Tensor<D>,
  options: HighPassOptions = {},
): Promise<Tensor<D>> {
  const { kernelSize = 3, groups = 1, border = 'zeros', residual = true } = options;
  checkWindows(x, 'x', masks, { kernelSize, scale: 1, groups, border });
  const resolved = { kernelSize, groups, border, residual: checkBoolean(residual, 'residual') };
  const { output } = await runOperator<'output'>('high_pass', { x, masks }, resolved, options);
  return output as Tensor<D>;
}
