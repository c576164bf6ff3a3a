import type { OptionRecord } from '../binding';
import { checkTensor, FLOATING } from '../check';
import { invalidArgument } from '../errors';
import type { GraphOptions } from '../jobs';
import type { Tensor } from '../tensor';
import type { DetectorOptions, DetectorTestOptions } from './detector-options';
import { flatMetas, type ImageMeta } from './image-meta';
import { Module, type RunOptions, type Staged } from './module';
import type { PreprocessOptions } from './segmentation-options';

/** mmdetection's test pipeline for COCO: at most 1333 x 800, padded with zeros to multiples of 64. */
export const COCO_PREPROCESS: PreprocessOptions = {
  resize: { mode: 'keep-ratio', scale: [1333, 800] },
  multiple: { divisor: 64, how: 'pad' },
  mean: [123.675, 116.28, 103.53],
  std: [58.395, 57.12, 57.375],
};

/** What a detector found in one image: K detections, best score first. All tensors lie on the CPU. */
export interface DetectorOutput {
  /** [K, 4]: x1, y1, x2, y2 in pixels of the original image. */
  boxes: Tensor<'float32'>;
  /** [K], from 0 to 1. */
  scores: Tensor<'float32'>;
  /** [K], from 0 to numClasses - 1. */
  labels: Tensor<'int64'>;
  /**
   * Masks as COCO run lengths, one after the other: column by column over the original image, the first run of every
   * mask counts zeros.
   */
  maskRuns?: Tensor<'int32'>;
  /** [K + 1]: mask k has the runs from maskStarts[k] to maskStarts[k + 1]. */
  maskStarts?: Tensor<'int64'>;
  /** [K]: pixels of every mask. */
  maskAreas?: Tensor<'int64'>;
  /**
   * [H, W] of the original image: class + 1000 * k for the k-th instance from 1, numThingsClasses + class for stuff,
   * numThingsClasses + numStuffClasses for void.
   */
  panoptic?: Tensor<'int32'>;
}

/** The inputs of {@link TwoStageDetector.forward}. */
export interface DetectorInputs {
  /** Normalised images [N, 3, H, W], padded at the right and bottom. */
  image: Tensor;
  /** One an image. Default: every image fills the input. */
  metas?: readonly ImageMeta[];
}

/** Options of {@link TwoStageDetector.forward}. */
export interface DetectorRunOptions extends RunOptions {
  /** Results in the original's coordinates (default) or in those of the network's input. */
  rescale?: boolean;
  /** Goes before the detector's own test settings, one by one. */
  testCfg?: DetectorTestOptions;
}

/** Options of {@link TwoStageDetector.detect}. */
export interface DetectorDetectOptions extends GraphOptions {
  /** Default {@link COCO_PREPROCESS}. */
  preprocess?: PreprocessOptions;
  /** Goes before the detector's own test settings, one by one. */
  testCfg?: DetectorTestOptions;
}

/**
 * A detector of two stages: a ResNet with a feature pyramid proposes regions, which heads then classify, refine and
 * mask.
 *
 * Source: mmdetection's TwoStageDetector, whose options and state-dict names (`backbone.*`, `neck.*`, `rpn_head.*`,
 * `roi_head.*`, `semantic_head.*`) it keeps.
 */
export abstract class TwoStageDetector extends Module {
  readonly options: Readonly<DetectorOptions>;

  /** @internal */
  protected constructor(kind: string, options: DetectorOptions) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object', options);
    }
    super(kind, options as OptionRecord);
    this.options = Object.freeze({ ...options });
  }

  /**
   * Detects in images that are network inputs already.
   *
   * @returns an output an image. Stages: c2 .. c5, p2 .. p6, rpnCls0 .., rpnReg0 .., proposalBoxes0 and
   *   proposalScores0 an image, roiFeats, clsScore, bboxPred, maskFeats, maskLogitsAll, maskLogits (of all images, one
   *   after the other), and of PanopticFpn semLogits and semFull0 an image.
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE (see the neck's sizePolicy), ERR_DTYPE, ERR_DEVICE, ERR_OPTION_*;
   *   AbortError ERR_ABORTED
   */
  async forward<Options extends DetectorRunOptions = DetectorRunOptions>(
    inputs: DetectorInputs,
    options: Options = {} as Options,
  ): Promise<{ outputs: DetectorOutput[] } & Staged<Options>> {
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', 'an object { image, metas? }', inputs);
    }
    const channels = this.options.backbone?.inChannels ?? 3;
    const image = checkTensor(inputs.image, 'image', { rank: 4, dtype: FLOATING, channels });
    const { stages = false, rescale = true, testCfg = {}, signal, cudaGraph } = options;
    if (typeof stages !== 'boolean') throw invalidArgument('ERR_TYPE', 'stages', 'a boolean', stages);
    if (typeof rescale !== 'boolean') throw invalidArgument('ERR_TYPE', 'rescale', 'a boolean', rescale);
    const given = {
      ...flatMetas(inputs.metas, image.shape[0]!, image.shape.slice(2)),
      stages,
      rescale,
      testCfg,
    } as unknown as OptionRecord;
    const tensors = await this.run('forward', { image }, given, { signal, cudaGraph });
    const { outputs, rest } = splitOutputs(tensors, image.shape[0]!);
    return { outputs, ...(stages && { stages: rest }) } as never;
  }

  /**
   * Detects in a batch of images in one native job: preprocessing, the network, and results in each original image's
   * own coordinates. Images of one padded size go through the network together; an image's result does not depend on
   * the others.
   *
   * @param images each uint8 [H, W, 3], RGB, on the CPU whatever the module's device
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_OPTION_*; AbortError ERR_ABORTED
   */
  async detect(
    images: readonly Tensor<'uint8'>[],
    { preprocess = COCO_PREPROCESS, testCfg = {}, signal, cudaGraph }: DetectorDetectOptions = {},
  ): Promise<DetectorOutput[]> {
    if (!Array.isArray(images)) throw invalidArgument('ERR_TYPE', 'images', 'an array of tensors', images);
    const inputs = Object.fromEntries(
      images.map((image, i) => [
        `image${i}`,
        checkTensor(image, `images[${i}]`, { rank: 3, dtype: ['uint8'] }),
      ]),
    );
    if (images.length === 0) return [];
    const given = { preprocess, testCfg } as unknown as OptionRecord;
    const tensors = await this.run('detect', inputs, given, { signal, cudaGraph });
    return splitOutputs(tensors, images.length).outputs;
  }
}

/** Faster R-CNN with the FreqFusion neck: boxes. Source: "Faster R-CNN", NeurIPS 2015; mmdetection's FasterRCNN. */
export class FasterRcnn extends TwoStageDetector {
  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: DetectorOptions = {}) {
    super('faster_rcnn', options);
  }
}

/** Mask R-CNN with the FreqFusion neck: boxes and masks. Source: "Mask R-CNN", ICCV 2017; mmdetection's MaskRCNN. */
export class MaskRcnn extends TwoStageDetector {
  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: DetectorOptions = {}) {
    super('mask_rcnn', options);
  }
}

/**
 * Panoptic FPN with the FreqFusion neck: boxes, masks and a panoptic map.
 *
 * Source: "Panoptic Feature Pyramid Networks", CVPR 2019; mmdetection's PanopticFPN.
 */
export class PanopticFpn extends TwoStageDetector {
  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: DetectorOptions = {}) {
    super('panoptic_fpn', options);
  }
}

const RESULTS = ['boxes', 'scores', 'labels', 'maskRuns', 'maskStarts', 'maskAreas', 'panoptic'] as const;

/** Sorts tensors named boxes0, boxes1, ... by image; `rest` holds the others, by their own names. */
function splitOutputs(
  tensors: Readonly<Record<string, Tensor>>,
  images: number,
): { outputs: DetectorOutput[]; rest: Record<string, Tensor> } {
  const rest = { ...tensors };
  const outputs = Array.from({ length: images }, (_, i) => {
    const output: Record<string, Tensor> = {};
    for (const name of RESULTS) {
      const value = rest[`${name}${i}`];
      if (value === undefined) continue;
      output[name] = value;
      delete rest[`${name}${i}`];
    }
    return output as unknown as DetectorOutput;
  });
  return { outputs, rest };
}
