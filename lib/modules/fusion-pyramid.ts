import { checkInteger, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { Tensor } from '../tensor';
import type { FreqFusionSettings } from './freqfusion-options';
import { Module, type RunOptions, type Staged } from './module';

/** Ways of joining sharpened hr and upsampled lr; see {@link FusionPyramidOptions.recipe}. */
export type FusionRecipe = 'concat' | 'unet' | 'add';

/** Options of {@link FusionPyramid}: its own, and those of the FreqFusion at every step. */
export interface FusionPyramidOptions extends FreqFusionSettings {
  /**
   * 'concat' (default): join the channels, so that they grow level by level, as SegNeXt and SegFormer do. 'unet': join
   * them and bring them back to the level's own count with a 3 x 3 convolution. 'add': sum, as an FPN does.
   */
  recipe?: FusionRecipe;
  /** Channels of every level, or of x1 (finest), x2, ... one by one. 'add' needs the same count everywhere. */
  channels: number | readonly number[];
  /** Number of levels, 2 to 16. Default 4, or the length of `channels`. */
  levels?: number;
}

/** Maps x1 (finest) to xL (coarsest), each [N, C, H, W] with half the sides of the one before. */
export type PyramidInputs<D extends DType = DType> = { readonly [level: `x${number}`]: Tensor<D> };
/** Fused maps y1 .. y(L-1) at the sizes of x1 .. x(L-1). */
export type PyramidOutputs<D extends DType = DType> = { [level: `y${number}`]: Tensor<D> };

/**
 * Fuses a feature pyramid from its coarsest level to its finest with one FreqFusion a step, by one of the three usage
 * recipes of FreqFusion's README.
 *
 * The README's slips are corrected: channels are joined (its torch.cat without dim would join batches), and the finest
 * level uses FreqFusion's hr output (not the raw x1). State: ff1 (the coarsest step), ff2, ..., and for 'unet'
 * conv(L-1), ..., conv1, each named after the level that it gives.
 */
export class FusionPyramid extends Module {
  readonly options: Readonly<FusionPyramidOptions>;
  readonly #channels: readonly number[];

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: FusionPyramidOptions) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object with channels', options);
    }
    const { channels } = options;
    for (const count of Array.isArray(channels) ? channels : [channels]) checkInteger(count, 'channels', 1);
    super('fusion_pyramid', { ...options });
    this.options = Object.freeze({ ...options });
    this.#channels =
      typeof channels === 'number'
        ? Array.from({ length: options.levels ?? 4 }, () => channels)
        : [...channels];
  }

  /**
   * @throws ArgumentError ERR_TYPE where a level is missing, ERR_SHAPE (see `sizePolicy`), ERR_DTYPE, ERR_DEVICE;
   *   AbortError ERR_ABORTED. Stages: ff1.maskLr, ff1.hrFeat, ff1.lrFeat, ff2.maskLr, ...
   */
  async forward<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: PyramidInputs<D>,
    options: Options = {} as Options,
  ): Promise<PyramidOutputs<D> & Staged<Options>> {
    const names = this.#channels.slice(1).map((_, i) => `y${i + 1}` as const);
    return (await this.runStaged('forward', this.#check(inputs), names, options)) as never;
  }

  #check(inputs: PyramidInputs): Record<string, Tensor> {
    const last = this.#channels.length;
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', `an object { x1, ..., x${last} }`, inputs);
    }
    const x1 = checkTensor(inputs.x1, 'x1', { rank: 4, dtype: FLOATING });
    return Object.fromEntries(
      this.#channels.map((channels, i) => {
        const name = `x${i + 1}` as const;
        return [name, checkTensor(inputs[name], name, { rank: 4, like: x1, channels })];
      }),
    );
  }
}
