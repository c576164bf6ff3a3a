import { checkBoolean, checkNumber, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import type { BoxType } from './roi-align';
import { runOperator } from './run';

type Four = readonly [number, number, number, number];

/** Options of {@link bbox2delta}. */
export interface BoxEncoderOptions extends JobOptions {
  /** Subtracted from the deltas when encoding, added when decoding. Default [0, 0, 0, 0]. */
  means?: Four;
  /** Divides the deltas when encoding, multiplies them when decoding. Default [1, 1, 1, 1]. */
  stds?: Four;
}

/** Options of {@link delta2bbox}. */
export interface BoxDecoderOptions extends BoxEncoderOptions {
  /** [height, width] that boxes are clipped to. Default: they are not clipped. */
  maxShape?: readonly [height: number, width: number] | null;
  /** Sides grow by at most the inverse of this, and shrink by no more. Default 16 / 1000. */
  whRatioClip?: number;
  /** false: maxShape is not applied. Default true. */
  clipBorder?: boolean;
  /** Centres move by at most centerClamp, and sides may shrink without limit. Default false. */
  addCenterClamp?: boolean;
  /** In pixels. Default 32. */
  centerClamp?: number;
}

function checkFour(value: unknown, name: string): Four {
  if (!Array.isArray(value) || value.length !== 4)
    throw invalidArgument('ERR_TYPE', name, 'four numbers', value);
  for (const each of value) checkNumber(each, name);
  return value as unknown as Four;
}

function scaling(options: BoxEncoderOptions) {
  const stds = checkFour(options.stds ?? [1, 1, 1, 1], 'stds');
  if (stds.includes(0)) throw invalidArgument('ERR_RANGE', 'stds', 'numbers other than 0', stds);
  return { means: checkFour(options.means ?? [0, 0, 0, 0], 'means'), stds };
}

function checkFours(tensor: Tensor, name: string): void {
  checkTensor(tensor, name, { dtype: FLOATING });
  if (tensor.rank < 1 || tensor.shape.at(-1) !== 4)
    throw invalidArgument('ERR_SHAPE', name, 'shape [..., 4]', tensor.shape);
}

/**
 * Decodes (dx, dy, dw, dh) against the boxes that they belong to: the centre moves by (dx, dy) times the sides, the
 * sides are multiplied by exp(dw) and exp(dh).
 *
 * @param rois [..., 4]: x1, y1, x2, y2
 * @param deltas [..., 4 * C], C deltas a box
 * @returns [..., 4 * C]; float32 (float64 for float64 boxes)
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_RANGE, ERR_TYPE; AbortError ERR_ABORTED
 *
 * Source: Fast R-CNN, ICCV 2015 (mmdet DeltaXYWHBBoxCoder).
 */
export async function delta2bbox<D extends DType>(
  rois: Tensor<D>,
  deltas: Tensor<D>,
  options: BoxDecoderOptions = {},
): Promise<Tensor<BoxType<D>>> {
  const { maxShape = null } = options;
  const resolved = {
    ...scaling(options),
    maxShape: maxShape?.map((side) => checkNumber(side, 'maxShape', { min: 0 })) ?? null,
    whRatioClip: checkNumber(options.whRatioClip ?? 16 / 1000, 'whRatioClip', { above: 0 }),
    clipBorder: checkBoolean(options.clipBorder ?? true, 'clipBorder'),
    addCenterClamp: checkBoolean(options.addCenterClamp ?? false, 'addCenterClamp'),
    centerClamp: checkNumber(options.centerClamp ?? 32, 'centerClamp', { min: 0 }),
  };
  if (resolved.maxShape !== null && resolved.maxShape.length !== 2)
    throw invalidArgument('ERR_TYPE', 'maxShape', '[height, width]', maxShape);
  checkFours(rois, 'rois');
  checkTensor(deltas, 'deltas', { rank: rois.rank, like: rois });
  const outer = rois.shape.slice(0, -1);
  if (deltas.shape.at(-1)! % 4 !== 0 || outer.some((side, i) => side !== deltas.shape[i])) {
    throw invalidArgument('ERR_SHAPE', 'deltas', `shape [${[...outer, '4 * C'].join(', ')}]`, deltas.shape);
  }
  const { output } = await runOperator<'output'>('delta2bbox', { rois, deltas }, resolved, options);
  return output as Tensor<BoxType<D>>;
}

/**
 * The inverse of {@link delta2bbox} for one box each.
 *
 * @param rois [..., 4], the boxes to start from
 * @param boxes [..., 4], the boxes to arrive at
 * @returns [..., 4]: dx, dy, dw, dh; float32 (float64 for float64 boxes)
 * @throws as delta2bbox
 */
export async function bbox2delta<D extends DType>(
  rois: Tensor<D>,
  boxes: Tensor<D>,
  options: BoxEncoderOptions = {},
): Promise<Tensor<BoxType<D>>> {
  const resolved = scaling(options);
  checkFours(rois, 'rois');
  checkTensor(boxes, 'boxes', { rank: rois.rank, like: rois });
  if (rois.shape.some((side, i) => side !== boxes.shape[i])) {
    throw invalidArgument('ERR_SHAPE', 'boxes', `shape [${rois.shape.join(', ')}]`, boxes.shape);
  }
  const { output } = await runOperator<'output'>('bbox2delta', { rois, boxes }, resolved, options);
  return output as Tensor<BoxType<D>>;
}
