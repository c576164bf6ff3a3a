import type { OptionRecord } from '../binding';
import { checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { GraphOptions, JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { checkBases } from './hamburger';
import type { LightHamHeadOptions } from './light-ham-head';
import { Module, type RunOptions, type Staged } from './module';
import type { MscanOptions } from './mscan';
import type { InferenceOptions, PreprocessOptions, SegmentationRequest } from './segmentation-options';

export type { PreprocessOptions } from '../image/preprocess';
export type { HamKwargs } from './hamburger';
export type { InferenceOptions, SegmentationRequest } from './segmentation-options';

/** Options of SegNeXt's decode head. */
export type SegNeXtHeadOptions = LightHamHeadOptions;

/** Options of {@link SegNeXt}; the defaults are SegNeXt-T with FreqFusion for 150 classes. */
export interface SegNeXtOptions {
  readonly backbone?: MscanOptions;
  readonly head?: SegNeXtHeadOptions;
}

/** The inputs of {@link SegNeXt.forward}. */
export interface SegNeXtInputs<D extends DType = DType> {
  /** Normalised image [N, 3, H, W]. */
  image: Tensor<D>;
  /** See HamburgerInputs.nmfBases. */
  nmfBases?: Tensor | undefined;
}

/** Options of {@link SegNeXt.forward}. */
export interface SegNeXtRunOptions extends RunOptions {
  /** Height and width to which the logits are resized (bilinear) as `segLogit`. Default: they are not. */
  size?: readonly number[];
}

/** Options of {@link SegNeXt.segment}. */
export interface SegNeXtSegmentOptions extends GraphOptions {
  /** Default: no resizing, ImageNet's mean and deviation. */
  preprocess?: PreprocessOptions;
  /** Default: the whole image once. */
  inference?: InferenceOptions;
  /** Default: labels alone. */
  outputs?: SegmentationRequest;
  nmfBases?: Tensor | undefined;
}

/** Options of {@link SegNeXt.postprocess}. */
export interface PostprocessOptions extends JobOptions {
  /** Height and width of the network's input. Default: the logits' own. */
  network?: readonly number[];
  /** Height and width of the part of it that shows the image, at the top left. Default: all of it. */
  content?: readonly number[];
  /** Height and width of the original image. Default: `content`. */
  size?: readonly number[];
  /** Default: labels alone. */
  outputs?: Omit<SegmentationRequest, 'logits'>;
}

/** What was asked of a segmentation; of a batch, and of {@link SegNeXt.postprocess}, with a leading dimension N. */
export interface SegmentationTensors {
  /** Class of every pixel [H, W]; int32 above 256 classes. */
  labels?: Tensor<'uint8' | 'int32'>;
  /** [C, h, w], at the stride of the network. */
  logits?: Tensor<'float32'>;
  /** [C, H, W], after the softmax. */
  probabilities?: Tensor<'float32'>;
  /** Probability of every pixel's label [H, W]. */
  scores?: Tensor<'float32'>;
}

/**
 * SegNeXt: semantic segmentation with the MSCAN backbone and a Hamburger head, with FreqFusion in it or without.
 *
 * Source: "SegNeXt", NeurIPS 2022, and the SegNeXt folder of FreqFusion; mmsegmentation's EncoderDecoder, whose
 * state-dict names (`backbone.*`, `decode_head.*`) it keeps.
 */
export class SegNeXt extends Module {
  readonly options: Readonly<SegNeXtOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: SegNeXtOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object', options);
    }
    super('segnext', options as OptionRecord);
    this.options = Object.freeze({ ...options });
  }

  /**
   * @returns logits [N, numClasses, H / 8, W / 8] (rounded up) and, with `size`, segLogit. Stages: stage1 .. stage4,
   *   then LightHamHead's.
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED
   */
  async forward<D extends DType, Options extends SegNeXtRunOptions = SegNeXtRunOptions>(
    inputs: SegNeXtInputs<D>,
    options: Options = {} as Options,
  ): Promise<{ logits: Tensor<D>; segLogit?: Tensor<D> } & Staged<Options>> {
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', 'an object { image, nmfBases? }', inputs);
    }
    const { stages = false, size, signal, cudaGraph } = options;
    if (typeof stages !== 'boolean') throw invalidArgument('ERR_TYPE', 'stages', 'a boolean', stages);
    const channels = this.options.backbone?.inChannels ?? 3;
    const image = checkTensor(inputs.image, 'image', { rank: 4, dtype: FLOATING, channels });
    const run = await this.run(
      'forward',
      { image, ...checkBases(inputs.nmfBases) },
      { stages, ...(size !== undefined && { size: checkSize(size, 'size') }) },
      { signal, cudaGraph },
    );
    const { logits, segLogit, ...rest } = run;
    return { logits, ...(segLogit && { segLogit }), ...(stages && { stages: rest }) } as never;
  }

  /**
   * Segments an image, or images of one size together, in one native job: preprocessing, the network, resizing to the
   * image's own size, argmax. Logits of all classes at the image's size are never held, unless probabilities are asked
   * for. An image's result does not depend on the others of its batch, but for float rounding.
   *
   * @param image uint8 [H, W, 3] or [N, H, W, 3], RGB, on the CPU whatever the module's device
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; ERR_OPTION_VALUE and its like for wrong options;
   *   ERR_NOT_SUPPORTED for logits of anything but one whole view; AbortError ERR_ABORTED
   */
  async segment(image: Tensor<'uint8'>, options: SegNeXtSegmentOptions = {}): Promise<SegmentationTensors> {
    const { preprocess = {}, inference = {}, outputs = {}, nmfBases, signal, cudaGraph } = options;
    const pixels = checkTensor(image, 'image', { dtype: ['uint8'] });
    if (pixels.rank !== 3 && pixels.rank !== 4) {
      throw invalidArgument('ERR_SHAPE', 'image', 'a tensor [H, W, 3] or [N, H, W, 3]', pixels.shape);
    }
    const given = { preprocess, inference, outputs } as unknown as OptionRecord;
    const run = { signal, cudaGraph };
    return (await this.run('segment', { image, ...checkBases(nmfBases) }, given, run)) as never;
  }

  /**
   * The end of {@link segment} alone: logits [N, C, h, w] to the network input's size, cropped to its content, to the
   * image's size, softmax and argmax. Results have a leading dimension N and lie on the CPU.
   *
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_OPTION_VALUE; AbortError ERR_ABORTED
   */
  async postprocess(
    inputs: { logits: Tensor },
    { network, content, size, outputs = {}, signal }: PostprocessOptions = {},
  ): Promise<SegmentationTensors> {
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', 'an object { logits }', inputs);
    }
    const logits = checkTensor(inputs.logits, 'logits', { rank: 4, dtype: FLOATING });
    const given = {
      ...(network !== undefined && { network: checkSize(network, 'network') }),
      ...(content !== undefined && { content: checkSize(content, 'content') }),
      ...(size !== undefined && { size: checkSize(size, 'size') }),
      outputs: { ...outputs },
    };
    return (await this.run('postprocess', { logits }, given, { signal })) as never;
  }
}

function checkSize(value: unknown, name: string): readonly number[] {
  const valid =
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((side) => Number.isSafeInteger(side) && side >= 1);
  if (!valid) throw invalidArgument('ERR_OPTION_VALUE', name, '[height, width], integers from 1', value);
  return value;
}
