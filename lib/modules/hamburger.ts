import { checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { Tensor } from '../tensor';
import { Module, type RunOptions, type Staged } from './module';

/** Options of the matrix factorisation: those of the reference's ham_kwargs, and a seed. */
export interface HamKwargs {
  /** Groups S into which the channels are split, each with bases of its own. Default 1. */
  mdS?: number;
  /** Without effect, as in the reference: D is the number of channels of a group. */
  mdD?: number;
  /** Rank R of the factorisation. Default 64; 16 in the tiny and small models. */
  mdR?: number;
  /** Without effect at inference. */
  trainSteps?: number;
  /** Multiplicative steps before the last one, of the coefficients alone. Default 7. */
  evalSteps?: number;
  /** Without effect: the reference's NMF2D always takes 1. */
  invT?: number;
  /** Factorise over positions; the reference's other way, over channels, is not supported. Default true. */
  spatial?: true;
  /**
   * Start from bases that are not stored (default). The reference draws them at every forward, so that its results
   * differ from run to run; here they come from `nmfSeed` or from the caller. False keeps them in the buffer
   * `ham.bases` [S, D, R].
   */
  randInit?: boolean;
  /** Seed of the bases, an integer. The same seed gives the same bases on every machine and device. Default 0. */
  nmfSeed?: number;
}

/** Options of {@link Hamburger}. */
export interface HamburgerOptions {
  /** Channels of the map. Default 512. */
  hamChannels?: number;
  /** Groups of the GroupNorm behind the factorisation. Default 32. */
  normGroups?: number;
  hamKwargs?: HamKwargs;
}

/** The inputs of {@link Hamburger}. */
export interface HamburgerInputs<D extends DType = DType> {
  /** [N, hamChannels, h, w]. */
  x: Tensor<D>;
  /** Starting bases [S or N * S, hamChannels / S, R] of any floating dtype; normalised over dimension 1. */
  nmfBases?: Tensor | undefined;
}

/**
 * Hamburger, SegNeXt's global context: a map is replaced by its low-rank non-negative factorisation, between two
 * convolutions and inside a residual.
 *
 * Source: "Is Attention Better Than Matrix Decomposition?", ICLR 2021; Hamburger and NMF2D of ham_head.py, whose
 * state-dict names it keeps.
 */
export class Hamburger extends Module {
  readonly options: Readonly<HamburgerOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE, ERR_NOT_SUPPORTED */
  constructor(options: HamburgerOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object', options);
    }
    super('hamburger', { ...options, hamKwargs: { ...options.hamKwargs } });
    this.options = Object.freeze({ ...options });
  }

  /**
   * @returns output [N, hamChannels, h, w]. Stages: hamIn, after the first convolution and before its ReLU, and nmf,
   *   the factorisation's reconstruction.
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED
   */
  async forward<D extends DType, Options extends RunOptions = RunOptions>(
    inputs: HamburgerInputs<D>,
    options: Options = {} as Options,
  ): Promise<{ output: Tensor<D> } & Staged<Options>> {
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', 'an object { x, nmfBases? }', inputs);
    }
    const channels = this.options.hamChannels ?? 512;
    const x = checkTensor(inputs.x, 'x', { rank: 4, dtype: FLOATING, channels });
    const checked = { x, ...checkBases(inputs.nmfBases) };
    return (await this.runStaged('forward', checked, ['output'] as const, options)) as never;
  }
}

/** @internal Bases as an input of a native module; their sizes are the module's to check. */
export function checkBases(bases: unknown): { nmfBases?: Tensor } {
  if (bases === undefined) return {};
  return { nmfBases: checkTensor(bases, 'nmfBases', { rank: 3, dtype: FLOATING }) };
}
