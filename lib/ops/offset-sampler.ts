import { checkInteger, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** Options of {@link offsetSampler}. */
export interface OffsetSamplerOptions extends JobOptions {
  /** Channel groups, each with offsets of its own; divides C. Default 4. */
  groups?: number;
}

function resolve(x: Tensor, offset: Tensor, options: OffsetSamplerOptions) {
  const groups = checkInteger(options.groups ?? 4, 'groups', 1);
  checkTensor(x, 'x', { rank: 4, dtype: FLOATING });
  checkTensor(offset, 'offset', { rank: 4, like: x });
  const [n, c, height, width] = x.shape as [number, number, number, number];
  if (c % groups !== 0)
    throw invalidArgument('ERR_SHAPE', 'groups', `a divisor of the ${c} channels`, groups);
  const wanted = [n, 8 * groups, height / 2, width / 2];
  if (wanted.some((side, i) => side !== offset.shape[i])) {
    throw invalidArgument('ERR_SHAPE', 'offset', `shape [${wanted.join(', ')}]`, offset.shape);
  }
  return { groups };
}

/**
 * Resamples an already upsampled map at learned positions, bilinear, with positions outside clamped to the border.
 *
 * @param x [N, C, 2h, 2w]
 * @param offset [N, 2 * groups * 4, h, w] in low-resolution pixels, the initial position included; channel
 *   ((d * groups + g) * 2 + i) * 2 + j for axis d (0 = x, 1 = y) and output pixel (2y + i, 2x + j)
 * @returns [N, C, 2h, 2w]
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_RANGE; AbortError ERR_ABORTED
 *
 * Source: FreqFusion.py, LocalSimGuidedSampler.sample (TPAMI 2024).
 */
export async function offsetSampler<D extends DType>(
  x: Tensor<D>,
  offset: Tensor<D>,
  options: OffsetSamplerOptions = {},
): Promise<Tensor<D>> {
  const resolved = resolve(x, offset, options);
  const { output } = await runOperator<'output'>('offset_sampler', { x, offset }, resolved, options);
  return output as Tensor<D>;
}

/**
 * Gradients of {@link offsetSampler}.
 *
 * @param gradOutput [N, C, 2h, 2w], the gradient of the output
 * @returns gradX [N, C, 2h, 2w] and gradOffset [N, 2 * groups * 4, h, w]
 * @throws as offsetSampler
 */
export async function offsetSamplerBackward<D extends DType>(
  gradOutput: Tensor<D>,
  x: Tensor<D>,
  offset: Tensor<D>,
  options: OffsetSamplerOptions = {},
): Promise<{ gradX: Tensor<D>; gradOffset: Tensor<D> }> {
  const resolved = resolve(x, offset, options);
  checkTensor(gradOutput, 'gradOutput', { rank: 4, like: x, channels: x.shape[1]! });
  const result = await runOperator<'gradX' | 'gradOffset'>(
    'offset_sampler_backward',
    { gradOutput, x, offset },
    resolved,
    options,
  );
  return result as { gradX: Tensor<D>; gradOffset: Tensor<D> };
}
