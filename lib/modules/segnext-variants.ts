import type { SegNeXtOptions } from './segnext';

/** The published sizes of SegNeXt. */
export type SegNeXtVariant = 'tiny' | 'small' | 'base' | 'large';

interface Size {
  readonly embedDims: readonly number[];
  readonly depths: readonly number[];
  /** Channels of the head and of its Hamburger. */
  readonly channels: number;
  /** Rank of the Hamburger's factorisation. */
  readonly rank: number;
}

const SIZES: Readonly<Record<SegNeXtVariant, Size>> = {
  tiny: { embedDims: [32, 64, 160, 256], depths: [3, 3, 5, 2], channels: 256, rank: 16 },
  small: { embedDims: [64, 128, 320, 512], depths: [2, 2, 4, 2], channels: 256, rank: 16 },
  base: { embedDims: [64, 128, 320, 512], depths: [3, 3, 12, 3], channels: 512, rank: 64 },
  large: { embedDims: [64, 128, 320, 512], depths: [3, 5, 27, 3], channels: 1024, rank: 64 },
};

function variant({ embedDims, depths, channels, rank }: Size): SegNeXtOptions {
  return {
    backbone: { embedDims, depths, mlpRatios: [8, 8, 4, 4] },
    head: { inChannels: embedDims.slice(1), channels, hamChannels: channels, hamKwargs: { mdR: rank } },
  };
}

/**
 * Options of SegNeXt's published sizes with the frequency-aware head, for 150 classes. For the plain head set
 * `head.type` to 'LightHamHead'. Source: local_configs/segnext of the SegNeXt repository.
 */
export const SEGNEXT_VARIANTS: Readonly<Record<SegNeXtVariant, SegNeXtOptions>> = {
  tiny: variant(SIZES.tiny),
  small: variant(SIZES.small),
  base: variant(SIZES.base),
  large: variant(SIZES.large),
};
