import { StateDict } from '../checkpoint/state-dict';
import { StateDictError } from '../errors';
import type { Border } from '../ops/carafe';
import type { Tensor } from '../tensor';

/** How lr grows to hr's size where `semiConv` is false: F.interpolate's modes. */
export type UpsampleMode = 'nearest' | 'nearest-exact' | 'bilinear' | 'bicubic' | 'area';

/** Options of FreqFusion beside its channel counts: the reference's own, with its defaults, and three more. */
export interface FreqFusionSettings {
  /** Multiplies the reference's encoder channels. Only 1 (default) runs, in the reference as here. */
  scaleFactor?: 1;
  /** Side kl of the low-pass kernels, which upsample lr: odd, 1 to 31. Default 5. */
  lowpassKernel?: number;
  /** Side kh of the high-pass kernels, which sharpen hr: odd, 1 to 31. Default 3. */
  highpassKernel?: number;
  /**
   * Channel groups g with kernels of their own; divides hrChannels, lrChannels and compressedChannels. Default 1.
   * The released code fails above 1 (a view of a permuted tensor); this is what it means to compute.
   */
  upGroup?: number;
  /** Side of the content encoders' and of the offset generator's convolutions: odd. Default 3. */
  encoderKernel?: number;
  /** Dilation of the content encoders, not of the offset generator. Default 1. */
  encoderDilation?: number;
  /** Channels C to which both maps are compressed before kernels are predicted. Default 64. */
  compressedChannels?: number;
  /** F.interpolate's align_corners of `upsampleMode` bilinear and bicubic. Default false. */
  alignCorners?: boolean;
  /** How lr grows before it is filtered; read only where `semiConv` is false. Default 'nearest'. */
  upsampleMode?: UpsampleMode;
  /** Add the offset generator, which resamples the upsampled lr. Every published model has it. Default false. */
  featureResample?: boolean;
  /** Channel groups G with offsets of their own; divides compressedChannels and lrChannels. Default 4. */
  featureResampleGroup?: number;
  /**
   * Bring the kernels' logits of both resolutions together with the filters themselves (default), or with nearest
   * upsampling. Read only where `semiConv` is true.
   */
  compFeatUpsample?: boolean;
  /** The high-pass filter. False returns hr unchanged, and needs `compFeatUpsample` or `semiConv` false. Default true. */
  useHighPass?: boolean;
  /** Without effect: the reference stores it and never reads it. Default true. */
  useLowPass?: boolean;
  /** hr + (hr - lowpass(hr)) (default) or hr - lowpass(hr) alone. */
  hrResidual?: boolean;
  /**
   * Encode hr and lr at their own sizes and upsample with the filter (default); lr must then have exactly half of
   * hr's sides. False upsamples first and takes any pair of sizes.
   */
  semiConv?: boolean;
  /** Weigh the normalised kernels with a Hamming window. Default true; false in SegNeXt and Mask2Former. */
  hammingWindow?: boolean;
  /** GroupNorm in the offset generator; needs compressedChannels 16, 24, 32, 40, 64, ... Default true. */
  featureResampleNorm?: boolean;
  /**
   * What the offset convolutions see: features and similarities ('sim_concat', default: FreqFusion.py and the
   * Mask2Former and mmdetection copies) or the similarities alone ('sim': the SegNeXt copy).
   */
  directionFeat?: 'sim' | 'sim_concat';
  /**
   * What a filter reads outside the map: 'zeros' (default: mmcv's operator, with which every published checkpoint was
   * trained) or 'reflect' (the authors' fallback). The wrong one is a silent loss of accuracy.
   */
  border?: Border;
  /**
   * Where hr must be exactly twice lr and is not: 'strict' (default) throws ERR_SHAPE naming both shapes; 'pad' pads
   * both at the bottom and right with the replicated edge to the next size at which it is, and crops every result to
   * hr's size. It is meant for odd sizes: maps of another ratio do not lie over each other after it.
   */
  sizePolicy?: 'strict' | 'pad';
}

/** Options of {@link FreqFusion}. */
export interface FreqFusionOptions extends FreqFusionSettings {
  /** Channels of hrFeat. */
  hrChannels: number;
  /** Channels of lrFeat; need not equal hrChannels. */
  lrChannels: number;
}

/**
 * Reads from a FreqFusion state dict the options that it was made with: channel counts, kernel sizes, groups, hamming
 * window, high-pass filter, offset generator with its groups, norm and direction. A state dict does not tell
 * hrResidual, semiConv, compFeatUpsample, encoderDilation, upsampleMode or border: those keep their defaults.
 *
 * @param prefix of FreqFusion's keys, such as `'decode_head.freqfusions.0.'`
 * @throws StateDictError ERR_STATE_KEYS where its keys are not there or do not belong together
 */
export function freqFusionOptionsFrom(
  source: StateDict | Readonly<Record<string, Tensor>>,
  prefix = '',
): FreqFusionOptions {
  const stateDict = StateDict.from(source);
  const shape = (name: string) => stateDict.get(prefix + name)?.shape;
  const required = (name: string) => shape(name) ?? missing(prefix + name);
  const [compressedChannels, hrChannels] = required('hr_channel_compressor.weight') as [number, number];
  const lrChannels = required('lr_channel_compressor.weight')[1]!;
  const [lowChannels, , encoderKernel] = required('content_encoder.weight') as [number, number, number];
  const highChannels = shape('content_encoder2.weight')?.[0];
  const lowWindow = windowSide(shape('hamming_lowpass'));
  const highWindow = windowSide(shape('hamming_highpass'));
  const upGroup = groupsOf(lowChannels, highChannels, lowWindow);
  const highpassKernel = highChannels === undefined ? highWindow : Math.sqrt(highChannels / upGroup);
  return {
    hrChannels,
    lrChannels,
    compressedChannels,
    encoderKernel,
    lowpassKernel: Math.sqrt(lowChannels / upGroup),
    ...(highpassKernel !== undefined && { highpassKernel }),
    upGroup,
    hammingWindow: lowWindow !== undefined,
    useHighPass: highChannels !== undefined,
    // Without the high-pass filter the default flow does not exist: see useHighPass.
    ...(highChannels === undefined && { compFeatUpsample: false }),
    ...resampleOptions(stateDict, prefix, compressedChannels),
  };
}

function resampleOptions(
  stateDict: StateDict,
  prefix: string,
  channels: number,
): Partial<FreqFusionSettings> {
  const offset = stateDict.get(`${prefix}dysampler.offset.weight`)?.shape;
  if (offset === undefined) return { featureResample: false };
  return {
    featureResample: true,
    featureResampleGroup: offset[0]! / 8,
    featureResampleNorm: stateDict.has(`${prefix}dysampler.norm_hr.weight`),
    directionFeat: offset[1] === channels + 8 ? 'sim_concat' : 'sim',
  };
}

// A Hamming window is stored as [1, 1, k, k]; no window as [1], and before 2024-09-20 not at all.
function windowSide(shape: readonly number[] | undefined): number | undefined {
  return shape?.length === 4 ? shape[3] : undefined;
}

// Mask channels are k * k * g with an odd k, for both filters; the window tells k, else the smallest g that fits does.
function groupsOf(lowChannels: number, highChannels: number | undefined, window: number | undefined): number {
  if (window !== undefined) return lowChannels / (window * window);
  const isOddSquare = (value: number) => Math.sqrt(value) % 2 === 1;
  for (let groups = 1; groups <= lowChannels; groups += 1) {
    if (
      isOddSquare(lowChannels / groups) &&
      (highChannels === undefined || isOddSquare(highChannels / groups))
    ) {
      return groups;
    }
  }
  const expected = 'mask channels k * k * groups with an odd k';
  const actual = `${lowChannels} and ${highChannels ?? 'no'} channels`;
  throw new StateDictError('ERR_STATE_KEYS', `expected ${expected} for content_encoder, got ${actual}`, {
    expected,
    actual,
  });
}

function missing(name: string): never {
  throw new StateDictError(
    'ERR_STATE_KEYS',
    `expected the keys of a FreqFusion for stateDict, got none named ${name}`,
    {
      expected: name,
      actual: 'no such key',
    },
  );
}
