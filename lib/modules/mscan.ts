import { checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { GraphOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { Module } from './module';

/** Options of {@link Mscan}, one number a stage in each list; the defaults are MSCAN-T's. */
export interface MscanOptions {
  /** Channels of the image. Default 3. */
  inChannels?: number;
  /** Channels of each stage's map. Default [32, 64, 160, 256]. */
  embedDims?: readonly number[];
  /** Hidden channels of each stage's MLP, as a multiple of its own. Default [8, 8, 4, 4]. */
  mlpRatios?: readonly number[];
  /** Blocks of each stage. Default [3, 3, 5, 2]. */
  depths?: readonly number[];
  /** Without effect at inference. Default 0. */
  dropRate?: number;
  /** Without effect at inference. Default 0. */
  dropPathRate?: number;
}

/** Maps stage1 (finest, 1/4 of the image's sides) to stageL, each [N, embedDims[i], H / 2^(i + 2), W / 2^(i + 2)]. */
export type MscanOutputs<D extends DType = DType> = { [stage: `stage${number}`]: Tensor<D> };

/**
 * MSCAN, the convolutional backbone of SegNeXt: strips of 7, 11 and 21 pixels in both directions weight the features.
 *
 * Odd sizes are right: every halving rounds up. Source: "SegNeXt", NeurIPS 2022; mscan.py, whose options and
 * state-dict names it keeps.
 */
export class Mscan extends Module {
  readonly options: Readonly<MscanOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE */
  constructor(options: MscanOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object', options);
    }
    super('mscan', { ...options });
    this.options = Object.freeze({ ...options });
  }

  /**
   * @param inputs.image [N, inChannels, H, W], normalised; any size
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED
   */
  async forward<D extends DType>(
    inputs: { image: Tensor<D> },
    options: GraphOptions = {},
  ): Promise<MscanOutputs<D>> {
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', 'an object { image }', inputs);
    }
    const channels = this.options.inChannels ?? 3;
    const image = checkTensor(inputs.image, 'image', { rank: 4, dtype: FLOATING, channels });
    return (await this.run('forward', { image }, {}, options)) as never;
  }
}
