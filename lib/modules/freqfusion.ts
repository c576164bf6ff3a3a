import { checkInteger, checkTensor, FLOATING } from '../check';
import type { StateDict } from '../checkpoint/state-dict';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { Tensor } from '../tensor';
import { type FreqFusionOptions, freqFusionOptionsFrom } from './freqfusion-options';
import { Module, type RunOptions, type Staged } from './module';

export type { FreqFusionOptions, FreqFusionSettings, UpsampleMode } from './freqfusion-options';

/** The maps that FreqFusion fuses. */
export interface FreqFusionInputs<D extends DType = DType> {
  /** High-resolution features [N, hrChannels, H, W]. */
  hrFeat: Tensor<D>;
  /** Low-resolution features [N, lrChannels, H / 2, W / 2]; any size where `semiConv` and `featureResample` are false. */
  lrFeat: Tensor<D>;
}

/** What {@link FreqFusion.forward} gives. */
export interface FreqFusionOutputs<D extends DType = DType> {
  /** The normalised low-pass kernels [N, lowpassKernel^2 * upGroup, H, W]. */
  maskLr: Tensor<D>;
  /** Sharpened hr [N, hrChannels, H, W]. */
  hrFeat: Tensor<D>;
  /** Upsampled lr [N, lrChannels, H, W]. */
  lrFeat: Tensor<D>;
}

/** The offset generator's own inputs, for {@link FreqFusion.offsetGenerator}. */
export interface OffsetGeneratorInputs<D extends DType = DType> {
  /** Compressed high-resolution features [N, C, 2h, 2w]. */
  hrX: Tensor<D>;
  /** Compressed low-resolution features [N, C, h, w]. */
  lrX: Tensor<D>;
  /** The upsampled map to read [N, Cf, 2h, 2w]; Cf is a multiple of the groups. */
  feat2sample: Tensor<D>;
}

/**
 * FreqFusion: fuses a high-resolution map with one of half its size for dense prediction.
 *
 * An adaptive low-pass filter upsamples lr with kernels predicted from both maps, an offset generator resamples it
 * where neighbours are more alike (`featureResample`), and an adaptive high-pass filter gives hr its detail back.
 * Source: "Frequency-aware Feature Fusion for Dense Image Prediction", TPAMI 2024; FreqFusion.py, whose options and
 * state-dict names it keeps.
 */
export class FreqFusion extends Module {
  readonly options: Readonly<FreqFusionOptions>;

  /**
   * @throws ArgumentError ERR_OPTION_UNKNOWN (a typo; it names the nearest option), ERR_OPTION_TYPE, ERR_OPTION_VALUE,
   *   ERR_OPTION_MISSING, or ERR_NOT_SUPPORTED for the one combination that the reference has no flow for
   */
  constructor(options: FreqFusionOptions) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object with hrChannels and lrChannels', options);
    }
    checkInteger(options.hrChannels, 'hrChannels', 1);
    checkInteger(options.lrChannels, 'lrChannels', 1);
    super('freqfusion', { ...options });
    this.options = Object.freeze({ ...options });
  }

  /** Every option that a state dict tells; see {@link freqFusionOptionsFrom}. */
  static optionsFromStateDict(
    stateDict: StateDict | Readonly<Record<string, Tensor>>,
    prefix = '',
  ): FreqFusionOptions {
    return freqFusionOptionsFrom(stateDict, prefix);
  }

  /**
   * Fuses two maps.
   *
   * @throws ArgumentError ERR_SHAPE where channels, batch or sizes do not fit (see `sizePolicy`; border 'reflect' also
   *   needs lr above floor(lowpassKernel / 2)), ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED
   */
  async forward<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: FreqFusionInputs<D>,
    options: Options = {} as Options,
  ): Promise<FreqFusionOutputs<D> & Staged<Options>> {
    const names = ['maskLr', 'hrFeat', 'lrFeat'] as const;
    return (await this.runStaged('forward', this.#check(inputs), names, options)) as never;
  }

  /**
   * The adaptive low-pass filter (ALPF) alone: lr upsampled by the predicted kernels, before the offset generator.
   *
   * @returns maskLr [N, lowpassKernel^2 * upGroup, H, W] and lrFeat [N, lrChannels, H, W]
   */
  async lowPassFilter<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: FreqFusionInputs<D>,
    options: Options = {} as Options,
  ): Promise<Omit<FreqFusionOutputs<D>, 'hrFeat'> & Staged<Options>> {
    const names = ['maskLr', 'lrFeat'] as const;
    return (await this.runStaged('lowPassFilter', this.#check(inputs), names, options)) as never;
  }

  /**
   * The adaptive high-pass filter (AHPF) alone.
   *
   * @returns maskHr [N, highpassKernel^2 * upGroup, H, W] and hrFeat [N, hrChannels, H, W]
   * @throws ArgumentError ERR_NOT_SUPPORTED where `useHighPass` is false
   */
  async highPassFilter<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: FreqFusionInputs<D>,
    options: Options = {} as Options,
  ): Promise<{ maskHr: Tensor<D>; hrFeat: Tensor<D> } & Staged<Options>> {
    const names = ['maskHr', 'hrFeat'] as const;
    return (await this.runStaged('highPassFilter', this.#check(inputs), names, options)) as never;
  }

  /**
   * The offset generator, on the two maps (their compressed features and the low-pass filter's result are made first)
   * or on compressed features and a map of your own.
   *
   * @returns offset [N, 8 * featureResampleGroup, h, w] in low-resolution pixels, at the padded size under
   *   sizePolicy 'pad', and lrFeat, the map read at it
   * @throws ArgumentError ERR_NOT_SUPPORTED where `featureResample` is false
   */
  async offsetGenerator<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: FreqFusionInputs<D> | OffsetGeneratorInputs<D>,
    options: Options = {} as Options,
  ): Promise<{ offset: Tensor<D>; lrFeat: Tensor<D> } & Staged<Options>> {
    const checked =
      typeof inputs === 'object' && inputs !== null && 'hrX' in inputs
        ? checkOffsetInputs(inputs, this.options.compressedChannels ?? 64)
        : this.#check(inputs as FreqFusionInputs);
    return (await this.runStaged(
      'offsetGenerator',
      checked,
      ['offset', 'lrFeat'] as const,
      options,
    )) as never;
  }

  #check(inputs: FreqFusionInputs): { hrFeat: Tensor; lrFeat: Tensor } {
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', 'an object { hrFeat, lrFeat }', inputs);
    }
    const { hrChannels, lrChannels } = this.options;
    const hrFeat = checkTensor(inputs.hrFeat, 'hrFeat', { rank: 4, dtype: FLOATING, channels: hrChannels });
    const lrFeat = checkTensor(inputs.lrFeat, 'lrFeat', { rank: 4, like: hrFeat, channels: lrChannels });
    return { hrFeat, lrFeat };
  }
}

/** @internal Narrows the inputs of an offset generator; sizes are the native module's to check. */
export function checkOffsetInputs(
  inputs: unknown,
  channels: number,
): Record<keyof OffsetGeneratorInputs, Tensor> {
  if (typeof inputs !== 'object' || inputs === null) {
    throw invalidArgument('ERR_TYPE', 'inputs', 'an object { hrX, lrX, feat2sample }', inputs);
  }
  const given = inputs as OffsetGeneratorInputs;
  const hrX = checkTensor(given.hrX, 'hrX', { rank: 4, dtype: FLOATING, channels });
  const lrX = checkTensor(given.lrX, 'lrX', { rank: 4, like: hrX, channels });
  const feat2sample = checkTensor(given.feat2sample, 'feat2sample', { rank: 4, like: hrX });
  return { hrX, lrX, feat2sample };
}
