import { checkBoolean, checkInteger, checkNumber, checkTensor, FLOATING } from '../check';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** Options of {@link nms}. */
export interface NmsOptions extends JobOptions {
  /** A box is dropped when its IoU with a better one is above this: 0 to 1. Default 0.5. */
  iouThreshold?: number;
  /** 1: widths and heights are x2 - x1 + 1, the older convention. Default 0. */
  offset?: 0 | 1;
  /** Above 0: boxes whose score is not above it are left out first. Default 0. */
  scoreThreshold?: number;
  /** At most this many boxes, the best ones. Default: all. */
  maxNum?: number | undefined;
}

/** Options of {@link batchedNms}. */
export interface BatchedNmsOptions extends JobOptions {
  /** A box is dropped when its IoU with a better one of its group is above this: 0 to 1. Default 0.5. */
  iouThreshold?: number;
  /** Boxes of different groups drop each other as well. Default false. */
  classAgnostic?: boolean;
  /** From this many boxes on, each group is alone. Default 10000. */
  splitThreshold?: number;
  /** At most this many boxes, the best ones. Default: all. */
  maxNum?: number | undefined;
}

/** Options of {@link multiclassNms}. */
export interface MulticlassNmsOptions extends BatchedNmsOptions {
  /** Scores must be above this. Default 0.05. */
  scoreThreshold?: number;
}

/** What {@link multiclassNms} finds, best score first. */
export interface MulticlassDetections {
  /** [K, 4]: x1, y1, x2, y2 */
  boxes: Tensor;
  /** [K] */
  scores: Tensor;
  /** [K]: class */
  labels: Tensor<'int64'>;
  /** [K]: box * classes + class */
  indices: Tensor<'int64'>;
}

/** -1 is how the operators say "all". */
function most(maxNum: number | undefined): number {
  return maxNum === undefined ? -1 : checkInteger(maxNum, 'maxNum', 0);
}

function checkIou(iouThreshold = 0.5): number {
  return checkNumber(iouThreshold, 'iouThreshold', { min: 0, max: 1 });
}

function checkSameDevice(tensor: Tensor, name: string, boxes: Tensor): void {
  if (tensor.device !== boxes.device) {
    throw invalidArgument(
      'ERR_DEVICE',
      name,
      `device ${boxes.device}, as the tensors beside it`,
      tensor.device,
    );
  }
}

function checkBoxes(boxes: Tensor, scores: Tensor): void {
  checkTensor(boxes, 'boxes', { rank: 2, dtype: FLOATING });
  if (boxes.shape[1] !== 4) throw invalidArgument('ERR_SHAPE', 'boxes', 'shape [N, 4]', boxes.shape);
  checkTensor(scores, 'scores', { rank: 1, dtype: FLOATING });
  if (scores.shape[0] !== boxes.shape[0])
    throw invalidArgument('ERR_SHAPE', 'scores', `shape [${boxes.shape[0]}]`, scores.shape);
  checkSameDevice(scores, 'scores', boxes);
}

/**
 * Greedy non-maximum suppression.
 *
 * @param boxes [N, 4]: x1, y1, x2, y2; the IoU is computed in float32 (float64 for float64 boxes)
 * @param scores [N]; NaN comes last
 * @returns int64, indices of the boxes that stay, best score first, equal scores by index
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_RANGE; AbortError ERR_ABORTED
 *
 * Source: mmcv ops/nms.
 */
export async function nms(boxes: Tensor, scores: Tensor, options: NmsOptions = {}): Promise<Tensor<'int64'>> {
  const resolved = {
    iouThreshold: checkIou(options.iouThreshold),
    offset: checkInteger(options.offset ?? 0, 'offset', 0, 1),
    scoreThreshold: checkNumber(options.scoreThreshold ?? 0, 'scoreThreshold'),
    maxNum: most(options.maxNum),
  };
  checkBoxes(boxes, scores);
  const { keep } = await runOperator<'keep'>('nms', { boxes, scores }, resolved, options);
  return keep as Tensor<'int64'>;
}

function batched(options: BatchedNmsOptions) {
  return {
    iouThreshold: checkIou(options.iouThreshold),
    classAgnostic: checkBoolean(options.classAgnostic ?? false, 'classAgnostic'),
    splitThreshold: checkInteger(options.splitThreshold ?? 10000, 'splitThreshold', 0),
    maxNum: most(options.maxNum),
  };
}

/**
 * {@link nms} within each group of boxes: a class, or a level of a pyramid.
 *
 * Groups are kept apart as mmcv does it: group * (greatest coordinate + 1) is added to the coordinates. Groups whose
 * coordinates are negative can therefore touch.
 *
 * @param boxes [N, 4]
 * @param scores [N]
 * @param groups int64 [N]
 * @returns int64, indices of the boxes that stay, best score first
 * @throws as nms
 *
 * Source: mmcv ops/nms, batched_nms.
 */
export async function batchedNms(
  boxes: Tensor,
  scores: Tensor,
  groups: Tensor<'int64'>,
  options: BatchedNmsOptions = {},
): Promise<Tensor<'int64'>> {
  const resolved = batched(options);
  checkBoxes(boxes, scores);
  checkTensor(groups, 'groups', { rank: 1, dtype: ['int64'] });
  if (groups.shape[0] !== boxes.shape[0])
    throw invalidArgument('ERR_SHAPE', 'groups', `shape [${boxes.shape[0]}]`, groups.shape);
  checkSameDevice(groups, 'groups', boxes);
  const { keep } = await runOperator<'keep'>('batched_nms', { boxes, scores, groups }, resolved, options);
  return keep as Tensor<'int64'>;
}

/**
 * The last step of a box head: every class of every box that scores above a threshold, {@link batchedNms} by class,
 * the best of what stays.
 *
 * @param boxes [N, 4], or [N, 4 * C] with a box for each class
 * @param scores [N, C + 1]; the last column is the background
 * @throws as nms
 *
 * Source: mmdet core/post_processing, multiclass_nms.
 */
export async function multiclassNms(
  boxes: Tensor,
  scores: Tensor,
  options: MulticlassNmsOptions = {},
): Promise<MulticlassDetections> {
  const resolved = {
    ...batched(options),
    scoreThreshold: checkNumber(options.scoreThreshold ?? 0.05, 'scoreThreshold'),
  };
  checkTensor(scores, 'scores', { rank: 2, dtype: FLOATING });
  const [count, columns] = scores.shape as [number, number];
  if (columns < 2) throw invalidArgument('ERR_SHAPE', 'scores', 'shape [N, classes + 1]', scores.shape);
  checkTensor(boxes, 'boxes', { rank: 2, dtype: FLOATING });
  const all = 4 * (columns - 1);
  if (boxes.shape[0] !== count || (boxes.shape[1] !== 4 && boxes.shape[1] !== all)) {
    throw invalidArgument('ERR_SHAPE', 'boxes', `shape [${count}, 4] or [${count}, ${all}]`, boxes.shape);
  }
  checkSameDevice(scores, 'scores', boxes);
  const found = await runOperator<'boxes' | 'scores' | 'labels' | 'indices'>(
    'multiclass_nms',
    { boxes, scores },
    resolved,
    options,
  );
  return found as unknown as MulticlassDetections;
}
