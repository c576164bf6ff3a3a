import { checkInteger, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { GraphOptions } from '../jobs';
import type { Tensor } from '../tensor';
import type { FreqFusionSettings } from './freqfusion-options';
import { Module } from './module';

/** How {@link Fpn} of type 'FPN_CARAFE' brings a level to the size of the finer one: mmdetection's names. */
export type UpsampleConfig =
  /** No parameters. null leaves out the resizing, for levels of one size. */
  | { type: 'nearest' | 'bilinear' | null }
  /** A transposed convolution of stride 2: kernel 2, 3 (default) or 4. */
  | { type: 'deconv'; upsampleKernel?: 2 | 3 | 4 }
  /** A convolution to four times the channels, which become the four pixels: kernel odd, default 3. */
  | { type: 'pixel_shuffle'; upsampleKernel?: number }
  | CarafeUpsampleConfig;

/** CARAFE with the layers that predict its kernels, mmcv's CARAFEPack. */
export interface CarafeUpsampleConfig {
  type: 'carafe';
  /** Side of the kernels: odd, 1 to 31. Default 5. */
  upKernel?: number;
  /** Channel groups with kernels of their own. Default 1. */
  upGroup?: number;
  /** Side of the content encoder: odd. Default 3. */
  encoderKernel?: number;
  /** Default 1. */
  encoderDilation?: number;
  /** Channels in which the kernels are predicted. Default 64. */
  compressedChannels?: number;
}

/** What every kind of {@link Fpn} takes. */
export interface FpnBaseOptions {
  /** Channels of c2 (finest), c3, ... */
  inChannels: readonly number[];
  /** Channels of every result. Default 256. */
  outChannels?: number;
  /** Number of results; from the number of levels. Default 5. */
  numOuts?: number;
}

/** The feature pyramid network of CVPR 2017. */
export interface PlainFpnOptions extends FpnBaseOptions {
  type?: 'FPN';
}

/** A feature pyramid with an upsampler at every step. */
export interface CarafeFpnOptions extends FpnBaseOptions {
  type: 'FPN_CARAFE';
  /** Default { type: 'carafe' }. */
  upsampleCfg?: UpsampleConfig;
}

/**
 * The neck of FreqFusion's detectors. FreqFusion's own options keep their defaults but for featureResample, true, and
 * featureResampleGroup, 8.
 */
export interface FreqFusionFpnOptions extends FpnBaseOptions, Omit<FreqFusionSettings, 'compressedChannels'> {
  type: 'FreqFusionCARAFEFPN';
  /** Each FreqFusion compresses to floor(2 * outChannels / compressRatio). Default 8. */
  compressRatio?: number;
}

/** Options of {@link Fpn}, mmdetection's in camelCase. */
export type FpnOptions = PlainFpnOptions | CarafeFpnOptions | FreqFusionFpnOptions;

/** Maps c2 (finest) to cL, one for each of inChannels, [N, inChannels[i], H, W]. */
export type FpnInputs<D extends DType = DType> = { readonly [level: `c${number}`]: Tensor<D> };
/** Maps p2 (finest) to p(numOuts + 1), each [N, outChannels, H, W]. */
export type FpnOutputs<D extends DType = DType> = { [level: `p${number}`]: Tensor<D> };

/**
 * A feature pyramid over a backbone's maps: each level takes in the coarser one, from the coarsest on.
 *
 * 'FPN' (default) resizes by nearest, and levels beyond the given ones are every other pixel of the last result.
 * 'FPN_CARAFE' has an upsampler of its own at every step, 'FreqFusionCARAFEFPN' a FreqFusion; their further levels come
 * from strided convolutions of the last map and take part in the pyramid. 'FreqFusionCARAFEFPN' needs levels that halve
 * exactly, down to the further one: images of multiples of 64.
 *
 * State: `lateral_convs.*.conv`, `fpn_convs.*.conv`, then `upsample_modules.*` or `alignment.*`. Source: mmdetection's
 * fpn.py and the fpn_carafe.py of FreqFusion's repository.
 */
export class Fpn extends Module {
  readonly options: Readonly<FpnOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: FpnOptions) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object with inChannels', options);
    }
    if (!Array.isArray(options.inChannels)) {
      throw invalidArgument('ERR_TYPE', 'inChannels', 'a list of channel counts', options.inChannels);
    }
    for (const count of options.inChannels) checkInteger(count, 'inChannels', 1);
    super('fpn', { ...options } as never);
    this.options = Object.freeze({ ...options });
  }

  /** @throws ArgumentError ERR_TYPE where a level is missing, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED */
  async forward<D extends DType>(inputs: FpnInputs<D>, options: GraphOptions = {}): Promise<FpnOutputs<D>> {
    return (await this.run('forward', this.#check(inputs), {}, options)) as never;
  }

  #check(inputs: FpnInputs): Record<string, Tensor> {
    const counts = this.options.inChannels;
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', `an object { c2, ..., c${counts.length + 1} }`, inputs);
    }
    const c2 = checkTensor(inputs.c2, 'c2', { rank: 4, dtype: FLOATING });
    return Object.fromEntries(
      counts.map((channels, i) => {
        const name = `c${i + 2}` as const;
        return [name, checkTensor(inputs[name], name, { rank: 4, like: c2, channels })];
      }),
    );
  }
}
