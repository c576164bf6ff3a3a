import type { AnyServedModel } from '../model-repository';
import type { Segmenter, ServedDetector } from '../served-model';
import type { Datatype } from './datatypes';

/** A tensor as a model's metadata describes it: -1 stands for sizes that depend on the request. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** What the protocol calls the format of every model here. */
export const PLATFORM = 'freqfusion_libtorch';

/** The inputs of every model: one of the two. */
export const INPUTS: readonly TensorMetadata[] = [
  { name: 'image', datatype: 'UINT8', shape: [-1, -1, -1, 3] },
  { name: 'encoded_image', datatype: 'BYTES', shape: [-1] },
];

/** What metadata says beside the tensors. */
export const NOTES = {
  inputs: 'exactly one of image and encoded_image',
  image:
    'N images of one size: RGB, interleaved, 0 to 255; they are normalised here, float pixels are not taken',
  encoded_image: 'N files: JPEG, PNG, WebP, TIFF, GIF or AVIF; in JSON as base64',
} as const;

/** Outputs of a model, and those of them that a request gets which names none. */
export interface OutputMetadata {
  readonly outputs: readonly TensorMetadata[];
  readonly byDefault: readonly string[];
}

/** The outputs of a loaded model. Throws ServerError ERR_MODEL_NOT_READY. */
export function outputsOf(served: AnyServedModel): OutputMetadata {
  return served.config.task === 'segment'
    ? segmentOutputs(served as Segmenter)
    : detectOutputs(served as ServedDetector);
}

/** The datatype of a segmentation's labels. */
export function labelDatatype(classes: number): 'UINT8' | 'INT32' {
  return classes > 256 ? 'INT32' : 'UINT8';
}

function segmentOutputs({ model }: Segmenter): OutputMetadata {
  const count = model.classes.length;
  return {
    outputs: [
      { name: 'labels', datatype: labelDatatype(count), shape: [-1, -1, -1] },
      { name: 'scores', datatype: 'FP32', shape: [-1, -1, -1] },
      { name: 'probabilities', datatype: 'FP32', shape: [-1, count, -1, -1] },
      { name: 'logits', datatype: 'FP32', shape: [-1, count, -1, -1] },
    ],
    byDefault: ['labels'],
  };
}

function detectOutputs({ model }: ServedDetector): OutputMetadata {
  const { task } = model.info;
  const outputs: TensorMetadata[] = [
    { name: 'num_detections', datatype: 'INT32', shape: [-1, 1] },
    { name: 'boxes', datatype: 'FP32', shape: [-1, -1, 4] },
    { name: 'scores', datatype: 'FP32', shape: [-1, -1] },
    { name: 'labels', datatype: 'INT64', shape: [-1, -1] },
  ];
  if (task !== 'object-detection') outputs.push({ name: 'masks', datatype: 'BYTES', shape: [-1, -1] });
  if (task === 'panoptic-segmentation') {
    outputs.push({ name: 'panoptic', datatype: 'INT32', shape: [-1, -1, -1] });
    outputs.push({ name: 'panoptic_segments', datatype: 'BYTES', shape: [-1] });
  }
  return { outputs, byDefault: outputs.map(({ name }) => name) };
}
