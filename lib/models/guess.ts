import type { StateDict } from '../checkpoint/state-dict';
import { FreqFusionError } from '../errors';
import { freqFusionOptionsFrom } from '../modules/freqfusion-options';
import type { SegNeXtHeadOptions, SegNeXtOptions } from '../modules/segnext';
import { ARCHITECTURES } from './architectures';
import type { ModelConfig } from './config';
import { keyOf, prefixOf } from './loaders';

/** What a state dict tells of the SegNeXt that it belongs to. */
export interface GuessedSegNeXt {
  /** What stands before `backbone.` in its keys, such as 'model.'. */
  readonly prefix: string;
  /** All options that shapes and names reveal. */
  readonly options: SegNeXtOptions;
  /** Rank of the factorisation where the state dict holds its bases. */
  readonly rank: number | undefined;
}

const STEM = keyOf('loadModel');

/** Reads SegNeXt's options from the names and shapes of a state dict; undefined where it is no SegNeXt. */
export function readSegNeXt(stateDict: StateDict): GuessedSegNeXt | undefined {
  const prefix = prefixOf(stateDict, STEM);
  if (prefix === undefined) return undefined;
  const state = stateDict.withPrefix(prefix);
  const shape = (name: string) => state.get(name)?.shape;
  const side = (name: string, axis: number) => shape(name)?.[axis] ?? incomplete(`${prefix}${name}`);

  const embedDims = [side('backbone.patch_embed1.proj.3.weight', 0)];
  while (shape(`backbone.patch_embed${embedDims.length + 1}.proj.weight`) !== undefined) {
    embedDims.push(side(`backbone.patch_embed${embedDims.length + 1}.proj.weight`, 0));
  }
  const depths = embedDims.map((_, stage) => {
    let depth = 0;
    while (shape(`backbone.block${stage + 1}.${depth}.norm1.weight`) !== undefined) depth++;
    return depth;
  });
  const mlpRatios = embedDims.map(
    (dim, stage) => side(`backbone.block${stage + 1}.0.mlp.fc1.weight`, 0) / dim,
  );
  const inIndex = headLevels(embedDims, side('decode_head.squeeze.conv.weight', 1));
  const bases = shape('decode_head.hamburger.ham.bases');
  const head: SegNeXtHeadOptions = {
    type: 'LightHamHead',
    inChannels: inIndex.map((index) => embedDims[index]!),
    inIndex,
    channels: side('decode_head.conv_seg.weight', 1),
    hamChannels: side('decode_head.hamburger.ham_in.conv.weight', 0),
    numClasses: side('decode_head.conv_seg.weight', 0),
    ...(shape('decode_head.freqfusions.0.content_encoder.weight') !== undefined && freqAware(state)),
  };
  const backbone = { inChannels: side(STEM, 1), embedDims, mlpRatios, depths };
  return { prefix, options: { backbone, head }, rank: bases?.[2] };
}

function incomplete(name: string): never {
  const expected = `the key ${name} of a whole SegNeXt`;
  throw new FreqFusionError('ERR_MODEL_ARCHITECTURE', `expected ${expected} in the checkpoint, got none`, {
    expected,
    actual: 'no such key',
  });
}

/** The head reads the last stages; which ones follows from the sum of their channels. */
function headLevels(embedDims: readonly number[], channels: number): number[] {
  let sum = 0;
  for (let first = embedDims.length - 1; first >= 0; first--) {
    sum += embedDims[first]!;
    if (sum === channels) return embedDims.map((_, i) => i).slice(first);
  }
  const expected = `${sum} channels of all stages, or of the last ones,`;
  throw new FreqFusionError(
    'ERR_MODEL_ARCHITECTURE',
    `expected ${expected} for decode_head.squeeze, got ${channels}`,
    {
      expected,
      actual: `${channels} channels`,
    },
  );
}

function freqAware(state: StateDict): Partial<SegNeXtHeadOptions> {
  const at = (step: number) => `decode_head.freqfusions.${step}.`;
  const { hrChannels, lrChannels, compressedChannels, ...fusion } = freqFusionOptionsFrom(state, at(0));
  const steps = [{ pre: lrChannels, hr: hrChannels, compressed: compressedChannels }];
  while (state.has(`${at(steps.length)}content_encoder.weight`)) {
    const next = freqFusionOptionsFrom(state, at(steps.length));
    steps.push({ pre: next.lrChannels, hr: next.hrChannels, compressed: next.compressedChannels });
  }
  return {
    type: 'LightHamHeadFreqAware',
    compressRatio: compressRatio(steps, 'decode_head.freqfusions'),
    low2highResidual: state.has('decode_head.low2high_convs.0.weight'),
    high2lowResidual: state.has('decode_head.high2low_convs.0.weight'),
    ...fusion,
  };
}

/** The smallest ratio with which every step compresses (lr + hr) channels to what it has. All such ratios are equal. */
export function compressRatio(
  steps: readonly { pre: number; hr: number; compressed: number | undefined }[],
  where: string,
): number {
  for (let ratio = 1; ratio <= 256; ratio++) {
    if (steps.every(({ pre, hr, compressed }) => Math.floor((pre + hr) / ratio) === compressed)) return ratio;
  }
  const actual = steps.map(({ pre, hr, compressed }) => `${pre} + ${hr} to ${compressed}`).join(', ');
  throw new FreqFusionError(
    'ERR_MODEL_ARCHITECTURE',
    `expected one compress ratio for ${where}, got ${actual}`,
    { expected: 'one compress ratio', actual },
  );
}

/** What must agree for a state dict to belong to a known architecture; the number of classes may differ. */
function fingerprint({ backbone = {}, head = {} }: SegNeXtOptions): string {
  const { embedDims, depths, mlpRatios } = backbone;
  const { type, channels, hamChannels = channels, inIndex = [1, 2, 3] } = head;
  const ratio = type === 'LightHamHeadFreqAware' ? (head.compressRatio ?? 4) : 0;
  return JSON.stringify([embedDims, depths, mlpRatios, type, channels, hamChannels, inIndex, ratio]);
}

/**
 * Completes what a state dict reveals with what it does not: the rank of the factorisation, which is taken from its
 * bases, from the training config in the checkpoint's meta, or from the known architecture that it agrees with.
 * Returns that architecture's config, or one without a name for a network of other sizes.
 * Throws ERR_MODEL_ARCHITECTURE where the rank cannot be told.
 */
export function guessConfig(
  guess: GuessedSegNeXt,
  known: Iterable<ModelConfig>,
  trainingConfig?: string,
): ModelConfig {
  const print = fingerprint(guess.options);
  const match = [...known].find(({ network }) => fingerprint(network.options) === print);
  const written = trainingConfig?.match(/['"]?MD_R['"]?\s*[:=]\s*(\d+)/)?.[1];
  const rank =
    guess.rank ??
    (written === undefined ? match?.network.options.head?.hamKwargs?.mdR : Number.parseInt(written, 10));
  if (rank === undefined) {
    const { backbone = {} } = guess.options;
    const actual = `embed dims ${backbone.embedDims?.join(', ')} and depths ${backbone.depths?.join(', ')}`;
    const expected = `the sizes of one of ${ARCHITECTURES.join(', ')}`;
    throw new FreqFusionError(
      'ERR_MODEL_ARCHITECTURE',
      `the architecture cannot be told from the checkpoint alone: expected ${expected}, got ${actual}. Name it with architecture (--architecture), or give a config.json with network.options.head.hamKwargs.mdR.`,
      { expected, actual },
    );
  }
  const head = {
    ...match?.network.options.head,
    ...guess.options.head,
    hamKwargs: { ...match?.network.options.head?.hamKwargs, mdR: rank },
  };
  const network = { kind: 'segnext', options: { ...guess.options, head } } as const;
  if (match === undefined) return { network };
  // Classes, colours and bases of a known model hold for its own numbers of classes and bases alone.
  const { classes, palette, nmfBases, ...rest } = match;
  const own = match.network.options.head;
  const sameClasses = own?.numClasses === head.numClasses;
  const sameRank = own?.hamKwargs?.mdR === rank;
  return {
    ...rest,
    ...(sameClasses && classes && { classes }),
    ...(sameClasses && palette && { palette }),
    ...(sameRank && nmfBases && { nmfBases }),
    network,
  };
}
