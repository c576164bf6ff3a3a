import type { OptionRecord } from '../binding';
import { checkTensor, FLOATING } from '../check';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** Options of {@link panopticFusion}. */
export interface PanopticFusionOptions extends JobOptions {
  /** Default 80. */
  numThingsClasses?: number;
  /** Default 53. */
  numStuffClasses?: number;
  /** Pixels of a mask have at least this value. Default 0.5. */
  maskThrBinary?: number;
  /** An instance is left out where more than this share of it lies under better ones. Default 0.5. */
  maskOverlap?: number;
  /** Stuff of fewer pixels becomes void. Default 4096. */
  stuffAreaLimit?: number;
}

/** The inputs of {@link panopticFusion}. */
export interface PanopticFusionInputs {
  /** [K]. */
  scores: Tensor;
  /** [K], from 0 to numThingsClasses - 1. */
  labels: Tensor<'int64'>;
  /** Probabilities over the whole image [K, H, W]. */
  masks: Tensor;
  /** Logits [numStuffClasses + 1, H, W], things as one class last. */
  semantic: Tensor;
}

/** What {@link panopticFusion} gives. */
export interface PanopticFusion {
  /**
   * [H, W]: class + 1000 * k for the k-th instance from 1, numThingsClasses + class for stuff, numThingsClasses +
   * numStuffClasses for void.
   */
  panoptic: Tensor<'int32'>;
  /** [M]: which instances are in it; the k-th of them, from 1, has the ids class + 1000 * k. */
  pasted: Tensor<'int64'>;
}

/**
 * Lays instances over a semantic map: by score, best first, each on the pixels that are still free.
 *
 * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_RANGE for a label outside, ERR_OPTION_*; AbortError
 *   ERR_ABORTED
 *
 * Source: "Panoptic Feature Pyramid Networks", CVPR 2019; mmdetection's HeuristicFusionHead.
 */
export async function panopticFusion(
  inputs: PanopticFusionInputs,
  { signal, ...options }: PanopticFusionOptions = {},
): Promise<PanopticFusion> {
  if (typeof inputs !== 'object' || inputs === null) {
    throw invalidArgument('ERR_TYPE', 'inputs', 'an object { scores, labels, masks, semantic }', inputs);
  }
  const tensors = {
    scores: checkTensor(inputs.scores, 'scores', { rank: 1, dtype: FLOATING }),
    labels: checkTensor(inputs.labels, 'labels', { rank: 1, dtype: ['int64'] }),
    masks: checkTensor(inputs.masks, 'masks', { rank: 3, dtype: FLOATING }),
    semantic: checkTensor(inputs.semantic, 'semantic', { rank: 3, dtype: FLOATING }),
  };
  return (await runOperator('panoptic_fusion', tensors, options as OptionRecord, { signal })) as never;
}
