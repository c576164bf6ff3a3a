import { checkBoolean, checkInteger, checkNumber, checkTensor, FLOATING } from '../check';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** Options of {@link baseAnchors}. */
export interface BaseAnchorOptions extends JobOptions {
  /** Side of the anchor of scale 1 and ratio 1, usually the stride of the level. */
  baseSize: number;
  /** Default [8]. */
  scales?: readonly number[];
  /** Height / width. Default [0.5, 1, 2]. */
  ratios?: readonly number[];
  /** Order: all scales of the first ratio first. Default true; false: all ratios of the first scale. */
  scaleMajor?: boolean;
  /** Centre of the anchors, in parts of baseSize. Default 0. */
  centerOffset?: number;
}

/** Options of {@link gridAnchors}. */
export interface GridAnchorOptions extends JobOptions {
  /** Rows of the map. */
  height: number;
  /** Columns of the map. */
  width: number;
  /** Image pixels per cell: one number, or [x, y]. */
  stride: number | readonly [x: number, y: number];
}

function checkPositive(values: unknown, name: string): readonly number[] {
  if (!Array.isArray(values) || values.length === 0) {
    throw invalidArgument('ERR_TYPE', name, 'a list of at least one number', values);
  }
  return values.map((value) => checkNumber(value, name, { above: 0 }));
}

/**
 * The anchors of one cell, for every ratio and scale: width baseSize * scale / sqrt(ratio), height baseSize * scale *
 * sqrt(ratio).
 *
 * @returns float32 [ratios * scales, 4]: x1, y1, x2, y2
 * @throws ArgumentError ERR_RANGE, ERR_TYPE; AbortError ERR_ABORTED
 *
 * Source: Faster R-CNN, NIPS 2015 (mmdet AnchorGenerator).
 */
export async function baseAnchors(options: BaseAnchorOptions): Promise<Tensor<'float32'>> {
  const resolved = {
    baseSize: checkNumber(options.baseSize, 'baseSize', { above: 0 }),
    scales: checkPositive(options.scales ?? [8], 'scales'),
    ratios: checkPositive(options.ratios ?? [0.5, 1, 2], 'ratios'),
    scaleMajor: checkBoolean(options.scaleMajor ?? true, 'scaleMajor'),
    centerOffset: checkNumber(options.centerOffset ?? 0, 'centerOffset'),
  };
  const { output } = await runOperator<'output'>('base_anchors', {}, resolved, options);
  return output as Tensor<'float32'>;
}

/** The scales of RetinaNet: octaveBaseScale * 2^(i / scalesPerOctave), one for every i below scalesPerOctave. */
export function octaveScales(octaveBaseScale: number, scalesPerOctave: number): number[] {
  checkNumber(octaveBaseScale, 'octaveBaseScale', { above: 0 });
  checkInteger(scalesPerOctave, 'scalesPerOctave', 1, 1024);
  return Array.from({ length: scalesPerOctave }, (_, i) => octaveBaseScale * 2 ** (i / scalesPerOctave));
}

/**
 * Base anchors moved to every cell of a map; the first cell's stay where they are.
 *
 * @param base [A, 4]
 * @returns [height * width * A, 4], ordered by row, column and anchor
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_RANGE, ERR_TYPE; AbortError ERR_ABORTED
 */
export async function gridAnchors(
  base: Tensor<'float32'>,
  options: GridAnchorOptions,
): Promise<Tensor<'float32'>> {
  const { stride } = options;
  const steps = typeof stride === 'number' ? [stride, stride] : stride;
  if (!Array.isArray(steps) || steps.length !== 2)
    throw invalidArgument('ERR_TYPE', 'stride', 'a number or [x, y]', stride);
  const height = checkInteger(options.height, 'height', 0);
  const width = checkInteger(options.width, 'width', 0);
  checkTensor(base, 'base', { rank: 2, dtype: FLOATING });
  if (base.shape[1] !== 4) throw invalidArgument('ERR_SHAPE', 'base', 'shape [A, 4]', base.shape);
  if (height * width * base.shape[0]! > 2 ** 31 - 1) {
    throw invalidArgument(
      'ERR_RANGE',
      'height and width',
      'at most 2^31 - 1 anchors',
      height * width * base.shape[0]!,
    );
  }
  const { output } = await runOperator<'output'>(
    'grid_anchors',
    { base },
    {
      height,
      width,
      strideX: checkNumber(steps[0], 'stride', { above: 0 }),
      strideY: checkNumber(steps[1], 'stride', { above: 0 }),
    },
    options,
  );
  return output as Tensor<'float32'>;
}
