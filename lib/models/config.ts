import type { InferenceOptions, SegNeXtOptions } from '../modules/segnext';
import {
  BASE_MEMBERS,
  type BaseConfig,
  type ConfigFile,
  checkClassCounts,
  FUSION_MEMBERS,
  fileMember,
  type LocatedConfig,
  readConfig,
} from './config-file';
import { checkTask } from './loaders';
import { type Check, flag, list, object, oneOf, positive, share, whole } from './schema';

/** A network by its kind and its options. */
export interface NetworkConfig {
  readonly kind: 'segnext';
  readonly options: SegNeXtOptions;
}

/**
 * Everything that makes a model of a checkpoint: what a config.json holds. Members but `network` have defaults: the
 * ADE20K test pipeline of SegNeXt for `preprocess`, whole images for `inference`.
 */
export interface ModelConfig extends BaseConfig {
  readonly task?: 'semantic-segmentation';
  readonly network: NetworkConfig;
  readonly inference?: InferenceOptions;
  /** Starting bases of the Hamburger's matrix factorisation, [S, D, R]; drawn from a seed where left out. */
  readonly nmfBases?: ConfigFile;
}

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
  ...FUSION_MEMBERS,
});

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

const config = object(
  {
    ...BASE_MEMBERS,
    task: oneOf('semantic-segmentation'),
    network: object({ kind: oneOf('segnext'), options: object({ backbone, head }) }, ['kind', 'options']),
    inference,
    nmfBases: fileMember,
  },
  ['network'],
);

/** Checks a config object; throws ERR_MODEL_CONFIG naming the member that is wrong, unknown or missing. */
export function checkModelConfig(value: unknown): ModelConfig {
  checkTask(value, 'loadModel');
  config(value, '');
  const checked = value as ModelConfig;
  checkClassCounts(checked, checked.network.options.head?.numClasses, 'network.options.head.numClasses');
  return checked;
}

/** Checks inference options alone, by the names of a config. */
export function checkInference(value: unknown): InferenceOptions {
  inference(value, 'inference');
  return value as InferenceOptions;
}

/** Reads and checks a config.json. Throws ERR_MODEL_CONFIG for a file that is missing, no JSON, or wrong inside. */
export function readModelConfig(path: string): Promise<LocatedConfig<ModelConfig>> {
  return readConfig(path, checkModelConfig);
}
