import type { SegmentationMap } from '../../models/segmentation-map';
import type { SegmentationOutput } from '../../models/segmentation-model';
import type { Tensor } from '../../tensor';
import type { OutputBudget } from './budget';
import type { InferTensor, NumericData } from './datatypes';
import { labelDatatype } from './model-tensors';
import { stack } from './stack';

/** An output of one image. */
interface Part {
  readonly shape: readonly number[];
  readonly data: NumericData;
}

/** What is kept of one image's segmentation: the outputs that the request wants. */
export type SegmentedImage = ReadonlyMap<SegmentationOutput, Part>;

/** Copies the wanted outputs out of a map, which can be freed then. Throws ServerError ERR_REQUEST_OUTPUT. */
export async function readMap(
  map: SegmentationMap,
  wanted: readonly SegmentationOutput[],
  budget: OutputBudget,
): Promise<SegmentedImage> {
  const { height, width } = map;
  const parts = new Map<SegmentationOutput, Part>();
  for (const name of wanted) {
    if (name === 'labels' || name === 'scores') {
      const data = name === 'labels' ? map.labels : map.scores!;
      budget.take(data.byteLength);
      parts.set(name, { shape: [height, width], data });
    } else {
      const tensor: Tensor<'float32'> = map[name]!;
      budget.take(4 * tensor.shape.reduce((product, size) => product * size, 1));
      parts.set(name, { shape: tensor.shape, data: await tensor.data() });
    }
  }
  return parts;
}

/** Bytes of an image's outputs at its own size: what is known before it is computed. Logits are smaller. */
export function bytesOfMap(
  wanted: readonly SegmentationOutput[],
  [height, width]: readonly [number, number],
  classes: number,
): number {
  const ofPixel = { labels: classes > 256 ? 4 : 1, scores: 4, probabilities: 4 * classes, logits: 0 };
  return wanted.reduce((bytes, name) => bytes + ofPixel[name] * height * width, 0);
}

/** Puts the outputs of all images together. Throws ServerError ERR_REQUEST_SIZES for images of different sizes. */
export function segmentTensors(
  images: readonly SegmentedImage[],
  wanted: readonly SegmentationOutput[],
  classes: number,
): InferTensor[] {
  return wanted.map((name) => {
    const datatype = name === 'labels' ? labelDatatype(classes) : 'FP32';
    return stack(
      name,
      datatype,
      images.map((parts) => parts.get(name)!),
    );
  });
}
