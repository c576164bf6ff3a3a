import type { OptionRecord } from '../binding';
import { checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import type {
  RcnnTestOptions,
  RoiHeadOptions,
  RpnHeadOptions,
  RpnTestOptions,
  SemanticHeadOptions,
} from './detector-options';
import { flatMetas, type ImageMeta } from './image-meta';
import { Module, type RunOptions, type Staged } from './module';

/** Maps p2 (finest), p3, ... of a feature pyramid, each [N, C, H, W] with half the sides of the one before. */
export type PyramidMaps<D extends DType = DType> = { readonly [level: `p${number}`]: Tensor<D> };

/** Boxes that may hold something, best first. */
export interface Proposals {
  /** [K, 4]: x1, y1, x2, y2 in pixels of the network's input. */
  boxes: Tensor;
  /** [K], from 0 to 1. */
  scores: Tensor;
}

/** Options of {@link RpnHead.forward}. */
export interface RpnRunOptions extends Omit<RunOptions, 'cudaGraph'> {
  /** One an image; read for imgShape alone, to which boxes are clipped. */
  metas?: readonly ImageMeta[];
  testCfg?: RpnTestOptions;
}

/**
 * A region proposal network over a feature pyramid: one head for all levels.
 *
 * Source: "Faster R-CNN", NeurIPS 2015; mmdetection's RPNHead, whose options and state-dict names it keeps.
 */
export class RpnHead extends Module {
  readonly options: Readonly<RpnHeadOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE */
  constructor(options: RpnHeadOptions = {}) {
    super('rpn_head', checkOptions(options));
    this.options = Object.freeze({ ...options });
  }

  /**
   * @returns proposals an image. Stages: rpnCls0 and rpnReg0 of p2, rpnCls1 ...
   * @throws ArgumentError ERR_TYPE where a level is missing, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_OPTION_*;
   *   AbortError ERR_ABORTED
   */
  async forward<Options extends RpnRunOptions = RpnRunOptions>(
    inputs: PyramidMaps,
    options: Options = {} as Options,
  ): Promise<{ proposals: Proposals[] } & Staged<Options>> {
    const strides = this.options.anchorGenerator?.strides ?? [4, 8, 16, 32, 64];
    const levels = checkPyramid(inputs, strides.length, this.options.inChannels ?? 256);
    const [batch, , height, width] = levels.p2!.shape as [number, number, number, number];
    const { stages = false, metas, testCfg = {}, signal } = options;
    const size = [height * strides[0]!, width * strides[0]!];
    const { imgShapes } = flatMetas(metas, batch, size);
    const given = { stages, imgShapes, testCfg } as unknown as OptionRecord;
    const rest = await this.run('forward', levels, given, { signal });
    const proposals = Array.from({ length: batch }, (_, i) => {
      const found = { boxes: rest[`proposalBoxes${i}`]!, scores: rest[`proposalScores${i}`]! };
      delete rest[`proposalBoxes${i}`];
      delete rest[`proposalScores${i}`];
      return found;
    });
    return { proposals, ...(stages && { stages: rest }) } as never;
  }
}

/** The inputs of {@link RoiHead.forward}: the maps of one image, and boxes in it. */
export type RoiHeadInputs<D extends DType = DType> = PyramidMaps<D> & {
  /** [K, 4]: x1, y1, x2, y2 in pixels of the network's input. */
  readonly proposals: Tensor;
};

/** Options of {@link RoiHead.forward}. */
export interface RoiHeadRunOptions extends Omit<RunOptions, 'cudaGraph'> {
  meta?: ImageMeta;
  /** Boxes in the original's coordinates (default) or in those of the network's input. */
  rescale?: boolean;
  testCfg?: RcnnTestOptions;
}

/** What {@link RoiHead.forward} found, best score first. */
export interface RoiHeadOutputs {
  /** [K, 4]: x1, y1, x2, y2. */
  boxes: Tensor;
  /** [K], from 0 to 1. */
  scores: Tensor;
  /** [K]. */
  labels: Tensor<'int64'>;
  /** [K, 28, 28] before the sigmoid, over each box; only with a mask head. */
  maskLogits?: Tensor;
}

/**
 * The second stage: reads the region of every proposal from the pyramid, classifies and refines it and, with a mask
 * head, masks what was found.
 *
 * Source: mmdetection's StandardRoIHead with Shared2FCBBoxHead and FCNMaskHead, whose options and state-dict names it
 * keeps.
 */
export class RoiHead extends Module {
  readonly options: Readonly<RoiHeadOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE */
  constructor(options: RoiHeadOptions = {}) {
    super('roi_head', checkOptions(options));
    this.options = Object.freeze({ ...options });
  }

  /**
   * @returns detections of the one image. Stages: roiFeats, clsScore, bboxPred, maskFeats, maskLogitsAll.
   * @throws ArgumentError ERR_TYPE where an input is missing, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_OPTION_*;
   *   AbortError ERR_ABORTED
   */
  async forward<Options extends RoiHeadRunOptions = RoiHeadRunOptions>(
    inputs: RoiHeadInputs,
    options: Options = {} as Options,
  ): Promise<RoiHeadOutputs & Staged<Options>> {
    const { bboxRoiExtractor, maskRoiExtractor, bboxHead, maskHead } = this.options;
    const strides = bboxRoiExtractor?.featmapStrides ?? [4, 8, 16, 32];
    const maskStrides = maskHead ? (maskRoiExtractor?.featmapStrides ?? [4, 8, 16, 32]) : [];
    const count = Math.max(strides.length, maskStrides.length);
    const levels = checkPyramid(inputs, count, bboxHead?.inChannels ?? 256);
    const proposals = checkTensor(inputs.proposals, 'proposals', { rank: 2, dtype: FLOATING });
    const { stages = false, meta, rescale = true, testCfg = {}, signal } = options;
    const size = levels.p2!.shape.slice(2).map((side) => side * strides[0]!);
    const metas = flatMetas(meta && [meta], 1, size);
    const given = { ...metas, stages, rescale, testCfg } as unknown as OptionRecord;
    const tensors = await this.run('forward', { ...levels, proposals }, given, { signal });
    const { boxes, scores, labels, maskLogits, ...rest } = tensors;
    const masks = maskLogits === undefined ? {} : { maskLogits };
    return { boxes, scores, labels, ...masks, ...(stages && { stages: rest }) } as never;
  }
}

/** Options of {@link SemanticFpnHead.forward}. */
export interface SemanticRunOptions extends JobOptions {
  /** Height and width of the network's input. Default: four times the finest map's. */
  network?: readonly number[];
  /** Height and width of the part of it that shows the image, at the top left. Default: all of it. */
  shown?: readonly number[];
  /** Height and width to which the logits are brought as `resized`. Default: they are not. */
  size?: readonly number[];
}

/**
 * The semantic branch of Panoptic FPN: the levels of a pyramid, brought to the size of the finest one and added.
 *
 * Source: "Panoptic Feature Pyramid Networks", CVPR 2019; mmdetection's PanopticFPNHead, whose options and state-dict
 * names it keeps.
 */
export class SemanticFpnHead extends Module {
  readonly options: Readonly<SemanticHeadOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE */
  constructor(options: SemanticHeadOptions = {}) {
    super('semantic_fpn_head', checkOptions(options));
    this.options = Object.freeze({ ...options });
  }

  /**
   * @param inputs p2 to p5
   * @returns logits [N, numStuffClasses + 1, H, W] at p2's size, things last, and, with `size`, resized
   * @throws ArgumentError ERR_TYPE where a level is missing, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_OPTION_*;
   *   AbortError ERR_ABORTED
   */
  async forward(
    inputs: PyramidMaps,
    { signal, ...sizes }: SemanticRunOptions = {},
  ): Promise<{ logits: Tensor; resized?: Tensor }> {
    const levels = checkPyramid(inputs, 4, this.options.inChannels ?? 256);
    return (await this.run('forward', levels, sizes, { signal })) as never;
  }
}

function checkOptions(options: unknown): OptionRecord {
  if (typeof options === 'object' && options !== null) return options as OptionRecord;
  throw invalidArgument('ERR_TYPE', 'options', 'an object', options);
}

function checkPyramid(inputs: PyramidMaps, count: number, channels: number): Record<string, Tensor> {
  if (typeof inputs !== 'object' || inputs === null) {
    throw invalidArgument('ERR_TYPE', 'inputs', `an object { p2, ..., p${count + 1} }`, inputs);
  }
  const p2 = checkTensor(inputs.p2, 'p2', { rank: 4, dtype: FLOATING, channels });
  const names = Array.from({ length: count }, (_, i) => `p${i + 2}` as const);
  return Object.fromEntries(
    names.map((name) => [name, checkTensor(inputs[name], name, { rank: 4, like: p2, channels })]),
  );
}
