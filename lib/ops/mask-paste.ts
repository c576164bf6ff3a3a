import { checkBoolean, checkInteger, checkNumber, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import type { BoxType } from './roi-align';
import { runOperator } from './run';

/** The picture that masks are pasted on. */
export interface Canvas {
  /** Pixels from top to bottom. */
  height: number;
  /** Pixels from left to right. */
  width: number;
}

/** Options of {@link maskPaste}. */
export interface MaskPasteOptions extends Canvas, JobOptions {
  /**
   * A box writes no further than one pixel around it: what is below half of the mask's border fades no further.
   * Default true.
   */
  skipEmpty?: boolean;
}

/** Options of {@link maskRuns}. */
export interface MaskRunsOptions extends Canvas, JobOptions {
  /** A pixel is set where its value is not below this; above 0. Default 0.5. */
  threshold?: number;
}

/** Run lengths of many masks, column by column, each beginning with a run of zeros: COCO's uncompressed RLE. */
export interface MaskRuns {
  /** int32: the runs of all masks */
  runs: Tensor<'int32'>;
  /** int64 [K + 1]: where each mask's runs begin */
  starts: Tensor<'int64'>;
  /** int64 [K]: pixels that are set */
  areas: Tensor<'int64'>;
}

/** Rows and columns of a canvas; bottom and right are past the end. */
export interface PasteWindow {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

const LARGEST = 2 ** 31 - 1;

function checkCanvas({ height, width }: Canvas) {
  return {
    height: checkInteger(height, 'height', 0, LARGEST),
    width: checkInteger(width, 'width', 0, LARGEST),
  };
}

function checkBoxes(boxes: Tensor): void {
  checkTensor(boxes, 'boxes', { rank: 2, dtype: FLOATING });
  if (boxes.shape[1] !== 4) throw invalidArgument('ERR_SHAPE', 'boxes', 'shape [K, 4]', boxes.shape);
}

function checkMasks(masks: Tensor, boxes: Tensor): void {
  checkTensor(masks, 'masks', { rank: 3, dtype: FLOATING });
  const [count, rows, columns] = masks.shape as [number, number, number];
  if (rows < 1 || columns < 1)
    throw invalidArgument('ERR_SHAPE', 'masks', 'sides of at least 1', masks.shape);
  checkBoxes(boxes);
  if (boxes.shape[0] !== count) throw invalidArgument('ERR_SHAPE', 'boxes', `${count} boxes`, boxes.shape);
  if (boxes.device !== masks.device) {
    throw invalidArgument(
      'ERR_DEVICE',
      'boxes',
      `device ${masks.device}, as the tensors beside it`,
      boxes.device,
    );
  }
}

/**
 * Stretches every mask over its box on a canvas of its own: bilinear, 0 outside.
 *
 * Pixel x of the canvas reads the mask at (x + 0.5 - x1) / (x2 - x1). A side of length 0 reads the mask's centre
 * everywhere. A box that is reversed or not finite pastes nothing.
 *
 * @param masks [K, h, w], usually probabilities
 * @param boxes [K, 4]: x1, y1, x2, y2 on the canvas
 * @returns [K, height, width], float32 (float64 for float64 masks). For binary masks of large pictures
 *   {@link maskRuns} needs a thousandth of the memory.
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_RANGE; AbortError ERR_ABORTED
 *
 * Source: mmdet fcn_mask_head, _do_paste_mask.
 */
export async function maskPaste<D extends DType>(
  masks: Tensor<D>,
  boxes: Tensor,
  options: MaskPasteOptions,
): Promise<Tensor<BoxType<D>>> {
  const resolved = {
    ...checkCanvas(options),
    skipEmpty: checkBoolean(options.skipEmpty ?? true, 'skipEmpty'),
  };
  checkMasks(masks, boxes);
  const { output } = await runOperator<'output'>('mask_paste', { masks, boxes }, resolved, options);
  return output as Tensor<BoxType<D>>;
}

/**
 * COCO's run lengths of `maskPaste(masks, boxes) >= threshold`, without a canvas in memory.
 *
 * @param masks [K, h, w]
 * @param boxes [K, 4]
 * @throws as maskPaste
 */
export async function maskRuns(masks: Tensor, boxes: Tensor, options: MaskRunsOptions): Promise<MaskRuns> {
  const canvas = checkCanvas(options);
  const threshold = checkNumber(options.threshold ?? 0.5, 'threshold', { above: 0 });
  if (canvas.height * canvas.width > LARGEST) {
    throw invalidArgument(
      'ERR_RANGE',
      'height and width',
      `at most ${LARGEST} pixels`,
      canvas.height * canvas.width,
    );
  }
  checkMasks(masks, boxes);
  if (masks.dtype !== 'float64' && !(Math.fround(threshold) > 0 && Number.isFinite(Math.fround(threshold)))) {
    throw invalidArgument('ERR_RANGE', 'threshold', 'a number above 0 in float32', threshold);
  }
  const found = await runOperator<'runs' | 'starts' | 'areas'>(
    'mask_runs',
    { masks, boxes },
    { ...canvas, threshold },
    options,
  );
  return found as unknown as MaskRuns;
}

/**
 * The part of a canvas that holds all boxes and one pixel around them; nothing where there is no finite box.
 *
 * @param boxes [K, 4]
 * @throws as maskPaste
 */
export async function pasteWindow(boxes: Tensor, options: Canvas & JobOptions): Promise<PasteWindow> {
  const canvas = checkCanvas(options);
  checkBoxes(boxes);
  const { output } = await runOperator<'output'>('paste_window', { boxes }, canvas, options);
  const [top, bottom, left, right] = Array.from((output as Tensor<'int64'>).dataSync(), Number) as [
    number,
    number,
    number,
    number,
  ];
  output.dispose();
  return { top, bottom, left, right };
}
