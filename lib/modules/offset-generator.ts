import { checkInteger } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { Tensor } from '../tensor';
import { checkOffsetInputs, type OffsetGeneratorInputs } from './freqfusion';
import { Module, type RunOptions, type Staged } from './module';

export type { OffsetGeneratorInputs } from './freqfusion';

/** Options of {@link OffsetGenerator}: those of LocalSimGuidedSampler, with its defaults. */
export interface OffsetGeneratorOptions {
  /** Channels C of hrX and lrX; a multiple of `groups`. */
  inChannels: number;
  /** Output pixels per low-resolution pixel along each side. The reference has only 2 (default). */
  scale?: 2;
  /** The reference has only 'lp' (default): offsets are predicted at low resolution. */
  style?: 'lp';
  /** Channel groups of the sampled map with offsets of their own. Default 4. */
  groups?: number;
  /** Scale offsets by a learned sigmoid (default) or by the constant 0.25. */
  useDirectScale?: boolean;
  /** Side of the convolutions: odd. Default 1; FreqFusion passes its encoderKernel. */
  kernelSize?: number;
  /** Side of the similarity's window: odd, from 3. Its dilation is 2. Default 3. */
  localWindow?: number;
  /** Without effect: the reference stores it and always takes the cosine. Default 'cos'. */
  simType?: 'cos' | 'dot';
  /** GroupNorm of floor(C / 8) groups on both inputs; needs C 16, 24, 32, 40, 64, ... Default true. */
  norm?: boolean;
  /** See FreqFusionSettings.directionFeat. Default 'sim_concat'; 'sim' needs `useDirectScale`. */
  directionFeat?: 'sim' | 'sim_concat';
}

/**
 * The offset generator of FreqFusion: from the local similarity of two compressed maps it predicts where each output
 * pixel should read an upsampled map, and reads it there.
 *
 * Source: LocalSimGuidedSampler of FreqFusion.py, whose state-dict names it keeps.
 */
export class OffsetGenerator extends Module {
  readonly options: Readonly<OffsetGeneratorOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: OffsetGeneratorOptions) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object with inChannels', options);
    }
    checkInteger(options.inChannels, 'inChannels', 1);
    super('offset_generator', { ...options });
    this.options = Object.freeze({ ...options });
  }

  /**
   * @returns offset [N, 8 * groups, h, w], initial positions included, in low-resolution pixels: channel
   *   ((d * groups + g) * 2 + i) * 2 + j with d 0 = x, 1 = y for output pixel (2y + i, 2x + j); and output
   *   [N, Cf, 2h, 2w], feat2sample read there. Stages: hrSim and lrSim, what the offset convolutions see.
   * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED
   */
  async forward<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: OffsetGeneratorInputs<D>,
    options: Options = {} as Options,
  ): Promise<{ offset: Tensor<D>; output: Tensor<D> } & Staged<Options>> {
    const checked = checkOffsetInputs(inputs, this.options.inChannels);
    return (await this.runStaged('forward', checked, ['offset', 'output'] as const, options)) as never;
  }
}
