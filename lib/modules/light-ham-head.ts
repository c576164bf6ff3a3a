import { checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { Tensor } from '../tensor';
import type { FreqFusionSettings } from './freqfusion-options';
import { checkBases, type HamKwargs } from './hamburger';
import { Module, type RunOptions, type Staged } from './module';

/**
 * Options of {@link LightHamHead}. FreqFusion's own and the three beside `compressRatio` are for
 * `type: 'LightHamHeadFreqAware'` alone; its defaults are the released config's where they differ from FreqFusion's:
 * featureResample true, hammingWindow false, directionFeat 'sim' and, so that any image size works, sizePolicy 'pad'.
 */
export interface LightHamHeadOptions extends Omit<FreqFusionSettings, 'compressedChannels'> {
  /**
   * How the backbone's maps are joined: by one FreqFusion a level ('LightHamHeadFreqAware', default) or by bilinear
   * resizing to the finest one ('LightHamHead', SegNeXt's own).
   */
  type?: 'LightHamHead' | 'LightHamHeadFreqAware';
  /** Channels of the maps, finest first. Default [64, 160, 256]. */
  inChannels?: readonly number[];
  /** Which of the backbone's maps those are, from 0. Default [1, 2, 3]. */
  inIndex?: readonly number[];
  /** Channels before the classifier. Default 256. */
  channels?: number;
  /** Channels of the Hamburger. Default `channels`. */
  hamChannels?: number;
  hamKwargs?: HamKwargs;
  /** Default 150. */
  numClasses?: number;
  /** Groups of every GroupNorm of the head. Default 32. */
  normGroups?: number;
  /** Without effect at inference. */
  dropoutRatio?: number;
  /** Each FreqFusion compresses to floor((lr + hr channels) / compressRatio). Default 4. */
  compressRatio?: number;
  /** Add a 1x1 convolution of the upsampled lr to hr, and join plainly. Default false. */
  low2highResidual?: boolean;
  /** Register 1x1 convolutions that nothing reads, as the reference does. Default false. */
  high2lowResidual?: boolean;
}

/** Maps x1 (finest) to xL [N, inChannels[i], H, W], and starting bases for the Hamburger. */
export type LightHamHeadInputs<D extends DType = DType> = {
  readonly [level: `x${number}`]: Tensor<D>;
} & { readonly nmfBases?: Tensor | undefined };

/**
 * SegNeXt's decode head, with FreqFusion or without: joins the backbone's maps at the size of the finest one and
 * classifies every position after a Hamburger.
 *
 * Source: LightHamHead and LightHamHeadFreqAware of ham_head.py, whose options and state-dict names it keeps.
 */
export class LightHamHead extends Module {
  readonly options: Readonly<LightHamHeadOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: LightHamHeadOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object', options);
    }
    super('light_ham_head', { ...options, hamKwargs: { ...options.hamKwargs } });
    this.options = Object.freeze({ ...options });
  }

  /**
   * @returns logits [N, numClasses, H, W] at the size of x1. Stages: ff0MaskLr, ff0HrFeat, ff0LrFeat, ff1MaskLr, ...
   *   (the coarsest step first), squeeze, hamIn, nmf, hamburger, align.
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED
   */
  async forward<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: LightHamHeadInputs<D>,
    options: Options = {} as Options,
  ): Promise<{ logits: Tensor<D> } & Staged<Options>> {
    return (await this.runStaged('forward', this.#check(inputs), ['logits'] as const, options)) as never;
  }

  #check(inputs: LightHamHeadInputs): Record<string, Tensor> {
    const counts = this.options.inChannels ?? [64, 160, 256];
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument(
        'ERR_TYPE',
        'inputs',
        `an object { x1, ..., x${counts.length}, nmfBases? }`,
        inputs,
      );
    }
    const x1 = checkTensor(inputs.x1, 'x1', { rank: 4, dtype: FLOATING });
    const maps = counts.map((channels, i): [string, Tensor] => {
      const name = `x${i + 1}` as const;
      return [name, checkTensor(inputs[name], name, { rank: 4, like: x1, channels })];
    });
    return { ...Object.fromEntries(maps), ...checkBases(inputs.nmfBases) };
  }
}
