import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { FreqFusionError } from '../errors';
import type { Rgb } from '../image/types';
import type { InferenceOptions, PreprocessOptions, SegNeXtOptions } from '../modules/segnext';
import {
  type Check,
  color,
  configError,
  flag,
  list,
  object,
  oneOf,
  orNull,
  positive,
  share,
  text,
  whole,
} from './schema';

/** A network by its kind and its options. */
export interface NetworkConfig {
  readonly kind: 'segnext';
  readonly options: SegNeXtOptions;
}

/** A file beside the config, by its path relative to it. */
export interface ConfigFile {
  readonly file: string;
  /** The tensor in it; read where the file holds more than one value of use. */
  readonly tensor?: string;
}

/**
 * Everything that makes a model of a checkpoint: what a config.json holds. Members but `network` have defaults: the
 * ADE20K test pipeline of SegNeXt for `preprocess`, whole images for `inference`.
 */
export interface ModelConfig {
  readonly name?: string;
  readonly description?: string;
  readonly license?: string;
  readonly task?: 'semantic-segmentation';
  readonly network: NetworkConfig;
  readonly preprocess?: PreprocessOptions;
  readonly inference?: InferenceOptions;
  readonly classes?: readonly string[];
  readonly palette?: readonly Rgb[];
  readonly checkpoint?: ConfigFile;
  /** Starting bases of the Hamburger's matrix factorisation, [S, D, R]; drawn from a seed where left out. */
  readonly nmfBases?: ConfigFile;
}

const fusion = {
  scaleFactor: whole(1),
  lowpassKernel: whole(1),
  highpassKernel: whole(1),
  upGroup: whole(1),
  encoderKernel: whole(1),
  encoderDilation: whole(1),
  alignCorners: flag,
  upsampleMode: oneOf('nearest', 'nearest-exact', 'bilinear', 'bicubic', 'area'),
  featureResample: flag,
  featureResampleGroup: whole(1),
  featureResampleNorm: flag,
  compFeatUpsample: flag,
  useHighPass: flag,
  useLowPass: flag,
  hrResidual: flag,
  semiConv: flag,
  hammingWindow: flag,
  directionFeat: oneOf('sim', 'sim_concat'),
  border: oneOf('zeros', 'reflect'),
  sizePolicy: oneOf('strict', 'pad'),
};

const backbone = object({
  inChannels: whole(1),
  embedDims: list(whole(1)),
  mlpRatios: list(positive),
  depths: list(whole(1)),
  dropRate: share,
  dropPathRate: share,
});

const head = object({
  type: oneOf('LightHamHead', 'LightHamHeadFreqAware'),
  inChannels: list(whole(1)),
  inIndex: list(whole(0)),
  channels: whole(1),
  hamChannels: whole(1),
  hamKwargs: object({
    mdS: whole(1),
    mdD: whole(1),
    mdR: whole(1),
    trainSteps: whole(0),
    evalSteps: whole(0),
    invT: positive,
    spatial: flag,
    randInit: flag,
    nmfSeed: whole(0),
  }),
  numClasses: whole(1),
  normGroups: whole(1),
  dropoutRatio: share,
  compressRatio: whole(1),
  low2highResidual: flag,
  high2lowResidual: flag,
  ...fusion,
});

const filter = oneOf('bilinear', 'area');
const RESIZES: Readonly<Record<string, Check>> = {
  'keep-ratio': object({ mode: text, scale: list(whole(1), 2), filter }, ['scale']),
  longest: object({ mode: text, size: whole(1), filter }, ['size']),
};

const resize: Check = (value, path) => {
  const mode = (value as { mode?: unknown } | null)?.mode;
  oneOf(...Object.keys(RESIZES))(mode, `${path}.mode`);
  RESIZES[mode as string]!(value, path);
};

const inference: Check = (value, path) => {
  const slide = (value as { mode?: unknown } | null)?.mode === 'slide';
  const size = list(whole(1), 2);
  object(
    {
      mode: oneOf('whole', 'slide'),
      ...(slide && { crop: size, stride: size }),
      ratios: list(positive),
      flip: flag,
    },
    slide ? ['crop', 'stride'] : [],
  )(value, path);
};

const preprocess = object({
  resize: orNull(resize),
  multiple: orNull(object({ divisor: whole(1), how: oneOf('stretch', 'pad') })),
  mean: list(share, 3),
  std: list(positive, 3),
});

const file = object({ file: text, tensor: text }, ['file']);

const config = object(
  {
    name: text,
    description: text,
    license: text,
    task: oneOf('semantic-segmentation'),
    network: object({ kind: oneOf('segnext'), options: object({ backbone, head }) }, ['kind', 'options']),
    preprocess,
    inference,
    classes: list(text),
    palette: list(color),
    checkpoint: file,
    nmfBases: file,
  },
  ['network'],
);

/** Checks a config object; throws ERR_MODEL_CONFIG naming the member that is wrong, unknown or missing. */
export function checkModelConfig(value: unknown): ModelConfig {
  config(value, '');
  const checked = value as ModelConfig;
  const count = checked.network.options.head?.numClasses;
  for (const name of ['classes', 'palette'] as const) {
    const length = checked[name]?.length;
    if (length !== undefined && count !== undefined && length !== count) {
      throw configError(
        name,
        `${count} elements, as network.options.head.numClasses says,`,
        `${length} elements`,
      );
    }
  }
  return checked;
}

/** Checks preprocessing options alone, by the names of a config. */
export function checkPreprocess(value: unknown): PreprocessOptions {
  preprocess(value, 'preprocess');
  return value as PreprocessOptions;
}

/** Checks inference options alone, by the names of a config. */
export function checkInference(value: unknown): InferenceOptions {
  inference(value, 'inference');
  return value as InferenceOptions;
}

/** A config with the folder that its files are relative to. */
export interface LocatedConfig {
  readonly config: ModelConfig;
  readonly folder: string;
}

/** Reads and checks a config.json. Throws ERR_MODEL_CONFIG for a file that is missing, no JSON, or wrong inside. */
export async function readModelConfig(path: string): Promise<LocatedConfig> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FreqFusionError('ERR_MODEL_CONFIG', `the model config ${path} cannot be read: ${reason}`, {
      expected: 'a JSON file',
      actual: reason,
      cause: error,
    });
  }
  return { config: checkModelConfig(content), folder: dirname(resolve(path)) };
}

/** Absolute path of a file that a config names. */
export function configPath({ folder }: LocatedConfig, { file: name }: ConfigFile): string {
  return isAbsolute(name) ? name : resolve(folder, name);
}
