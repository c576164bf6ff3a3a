import { checkChoice, checkInteger, checkOdd, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** What a kernel tap reads outside the map; see {@link CarafeOptions.border}. */
export const BORDERS = ['zeros', 'reflect'] as const;
/** What a kernel tap reads outside the map. */
export type Border = (typeof BORDERS)[number];

/** Options of {@link carafe}. */
export interface CarafeOptions extends JobOptions {
  /** Side k of the reassembly window: odd, 1 to 31. Default 5. */
  kernelSize?: number;
  /** Output pixels per source pixel along each side: 1 to 4. Default 2. */
  scale?: number;
  /** Channel groups, each with masks of its own; divides C. Default 1. */
  groups?: number;
  /**
   * 'zeros' (default): taps outside the map add nothing and the kernel is not renormalised, as in mmcv's compiled
   * operator, with which every published checkpoint was trained. 'reflect': the map is mirrored without repeating
   * its edge, as in the authors' fallback; needs floor(k / 2) < h and < w.
   */
  border?: Border;
}

type Resolved = Required<Omit<CarafeOptions, 'signal'>>;

/**
 * Checks a map [N, C, h, w], called `name`, and the masks [N, groups * k * k, scale * h, scale * w] of its windows.
 *
 * @returns the options, checked
 */
export function checkWindows(features: Tensor, name: string, masks: Tensor, options: Resolved): Resolved {
  const kernelSize = checkOdd(options.kernelSize, 'kernelSize', 31);
  const scale = checkInteger(options.scale, 'scale', 1, 4);
  const groups = checkInteger(options.groups, 'groups', 1);
  const border = checkChoice(options.border, 'border', BORDERS);
  checkTensor(features, name, { rank: 4, dtype: FLOATING });
  checkTensor(masks, 'masks', { rank: 4, like: features });
  const [n, c, h, w] = features.shape as [number, number, number, number];
  if (c % groups !== 0)
    throw invalidArgument('ERR_SHAPE', 'groups', `a divisor of the ${c} channels`, groups);
  const wanted = [n, groups * kernelSize * kernelSize, scale * h, scale * w];
  if (wanted.some((side, i) => side !== masks.shape[i])) {
    throw invalidArgument('ERR_SHAPE', 'masks', `shape [${wanted.join(', ')}]`, masks.shape);
  }
  const reach = (kernelSize - 1) / 2;
  if (border === 'reflect' && (reach >= h || reach >= w)) {
    throw invalidArgument('ERR_SHAPE', name, `sides above ${reach} for border "reflect"`, features.shape);
  }
  return { kernelSize, scale, groups, border };
}

function resolve(features: Tensor, masks: Tensor, options: CarafeOptions): Resolved {
  const { kernelSize = 5, scale = 2, groups = 1, border = 'zeros' } = options;
  return checkWindows(features, 'features', masks, { kernelSize, scale, groups, border });
}

/**
 * Content-aware reassembly of features: every output pixel is the sum of a k x k window around its source pixel,
 * weighted by its own kernel.
 *
 * @param features [N, C, h, w], float32, float64, float16 or bfloat16 (halves accumulate in float32)
 * @param masks [N, groups * k * k, scale * h, scale * w]; channel (group * k + row) * k + column
 * @returns [N, C, scale * h, scale * w]
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_RANGE, ERR_OPTION_VALUE; AbortError ERR_ABORTED
 *
 * Source: CARAFE, ICCV 2019 (mmcv ops/carafe).
 */
export async function carafe<D extends DType>(
  features: Tensor<D>,
  masks: Tensor<D>,
  options: CarafeOptions = {},
): Promise<Tensor<D>> {
  const resolved = resolve(features, masks, options);
  const { output } = await runOperator<'output'>('carafe', { features, masks }, { ...resolved }, options);
  return output as Tensor<D>;
}

/**
 * Gradients of {@link carafe}.
 *
 * @param gradOutput [N, C, scale * h, scale * w], the gradient of the output
 * @returns gradFeatures [N, C, h, w] and gradMasks [N, groups * k * k, scale * h, scale * w]
 * @throws as carafe
 */
export async function carafeBackward<D extends DType>(
  gradOutput: Tensor<D>,
  features: Tensor<D>,
  masks: Tensor<D>,
  options: CarafeOptions = {},
): Promise<{ gradFeatures: Tensor<D>; gradMasks: Tensor<D> }> {
  const resolved = resolve(features, masks, options);
  checkTensor(gradOutput, 'gradOutput', { rank: 4, like: features, channels: features.shape[1]! });
  const result = await runOperator<'gradFeatures' | 'gradMasks'>(
    'carafe_backward',
    { gradOutput, features, masks },
    { ...resolved },
    options,
  );
  return result as { gradFeatures: Tensor<D>; gradMasks: Tensor<D> };
}
