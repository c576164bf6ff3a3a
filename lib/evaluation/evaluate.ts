import { ImageError, invalidArgument } from '../errors';
import { type LabelMap, readLabelMap } from '../image/labels';
import { throwIfAborted } from '../image/source';
import type { ImageInput, Rgb } from '../image/types';
import { BoundaryOverlap, trimap } from './boundary';
import { ConfusionMatrix, type SegmentationScores } from './confusion';

/** An image and its true labels: any image input, and a label map or anything that is read as one. */
export interface EvaluationPair {
  readonly image: ImageInput;
  readonly label: ImageInput | LabelMap;
}

/** What is needed of a model: {@link SegmentationModel} is one. */
export interface Segmenter {
  readonly classes: readonly string[];
  segment(
    image: ImageInput,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<LabelMap & { dispose?(): void }>;
}

/** Options of {@link evaluateSegmentation}. */
export interface EvaluationOptions {
  /** True label of pixels that are not judged. Default 255; labels outside the classes are never judged. */
  ignoreIndex?: number;
  /** Label 0 is not judged and all others move down by one, as in ADE20K's annotation files. Default false. */
  reduceZeroLabel?: boolean;
  /** Colours of colour-coded label images. Not needed for greyscale and palette PNGs. */
  palette?: readonly Rgb[];
  /** Width in pixels of the bands for the trimap and boundary scores; 0 leaves both out. Default 3. */
  boundary?: number;
  onProgress?: (progress: { done: number; total: number | undefined; image: ImageInput }) => void;
  signal?: AbortSignal;
}

/** Result of {@link evaluateSegmentation}. */
export interface EvaluationReport extends SegmentationScores {
  /** Judged images and pixels. */
  images: number;
  pixels: number;
  /** Pixels by true class (row) and predicted class (column). */
  confusion: number[][];
  /** The scores of the pixels within `boundary` (chessboard) of a true boundary. */
  trimap?: SegmentationScores;
  /** Boundary IoU (Cheng et al., CVPR 2021) with the erosion depth `boundary`. */
  boundary?: Pick<SegmentationScores, 'iou' | 'miou'>;
  /** Pixel accuracy of each image, in order. */
  perImage: { image: string; pixelAccuracy: number }[];
}

/**
 * Segments labelled images and scores the result over all of them: mean IoU, pixel accuracy, trimap scores and
 * Boundary IoU. Throws ERR_IMAGE_SIZE where an image and its labels differ in size, and what reading and segmenting
 * throw.
 */
export async function evaluateSegmentation(
  model: Segmenter,
  pairs: Iterable<EvaluationPair> | AsyncIterable<EvaluationPair>,
  options: EvaluationOptions = {},
): Promise<EvaluationReport> {
  const { boundary = 3, onProgress, signal } = options;
  if (!Number.isInteger(boundary) || boundary < 0) {
    throw invalidArgument('ERR_RANGE', 'boundary', 'an integer from 0', boundary);
  }
  const count = model.classes.length;
  const whole = new ConfusionMatrix(count);
  const near = new ConfusionMatrix(count);
  const edges = new BoundaryOverlap(count, boundary);
  const perImage: EvaluationReport['perImage'] = [];
  const total = Array.isArray(pairs) ? pairs.length : undefined;
  for await (const { image, label } of pairs) {
    throwIfAborted(signal);
    const map = await model.segment(image, { signal });
    const truth = await readTruth(label, options, count);
    const name = typeof image === 'string' ? image : `image ${perImage.length}`;
    if (truth.width !== map.width || truth.height !== map.height) {
      throw new ImageError(
        'ERR_IMAGE_SIZE',
        `expected labels of ${map.width} x ${map.height} pixels for ${name}, got ${truth.width} x ${truth.height}`,
        { expected: `${map.width} x ${map.height}`, actual: `${truth.width} x ${truth.height}` },
      );
    }
    const before = { correct: whole.correct, total: whole.total };
    whole.add(truth.labels, map.labels);
    const judged = whole.total - before.total;
    perImage.push({
      image: name,
      pixelAccuracy: judged === 0 ? 0 : (whole.correct - before.correct) / judged,
    });
    if (boundary > 0) {
      near.add(truth.labels, map.labels, trimap(truth.labels, map.width, map.height, boundary));
      edges.add(truth.labels, map.labels, map.width, map.height);
    }
    map.dispose?.();
    onProgress?.({ done: perImage.length, total, image });
  }
  return {
    ...whole.scores(model.classes),
    images: perImage.length,
    pixels: whole.total,
    confusion: Array.from({ length: count }, (_, row) =>
      Array.from(whole.counts.subarray(row * count, (row + 1) * count)),
    ),
    ...(boundary > 0 ? { trimap: near.scores(model.classes), boundary: edges.scores(model.classes) } : {}),
    perImage,
  };
}

async function readTruth(
  label: EvaluationPair['label'],
  options: EvaluationOptions,
  classes: number,
): Promise<LabelMap> {
  const { ignoreIndex = 255, reduceZeroLabel = false, palette, signal } = options;
  const map = isLabelMap(label)
    ? label
    : await readLabelMap(label, { palette, signal, unknown: palette && ignoreIndex });
  if (!reduceZeroLabel && ignoreIndex >= classes) return map;
  // -1 is judged nowhere, whatever the number of classes.
  const labels = Int32Array.from(map.labels, (value) => {
    if (value === ignoreIndex) return -1;
    return reduceZeroLabel ? value - 1 : value;
  });
  return { width: map.width, height: map.height, labels };
}

function isLabelMap(label: EvaluationPair['label']): label is LabelMap {
  return typeof label === 'object' && label !== null && 'labels' in label && 'width' in label;
}
