import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { FreqFusionError } from '../errors';
import type { Rgb } from '../image/types';
import type { PreprocessOptions } from '../modules/segmentation-options';
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

/** A file beside the config, by its path relative to it. */
export interface ConfigFile {
  readonly file: string;
  /** The tensor in it; read where the file holds more than one value of use. */
  readonly tensor?: string;
}

/** What the config of every kind of model may hold beside its network. */
export interface BaseConfig {
  readonly name?: string;
  readonly description?: string;
  readonly license?: string;
  readonly preprocess?: PreprocessOptions;
  readonly classes?: readonly string[];
  readonly palette?: readonly Rgb[];
  readonly checkpoint?: ConfigFile;
}

/** FreqFusion's options, by the names of a config. */
export const FUSION_MEMBERS: Readonly<Record<string, Check>> = {
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

const preprocess = object({
  resize: orNull(resize),
  multiple: orNull(object({ divisor: whole(1), how: oneOf('stretch', 'pad') })),
  mean: list(share, 3),
  std: list(positive, 3),
});

/** A {@link ConfigFile}. */
export const fileMember: Check = object({ file: text, tensor: text }, ['file']);

/** The members of a {@link BaseConfig}. */
export const BASE_MEMBERS: Readonly<Record<string, Check>> = {
  name: text,
  description: text,
  license: text,
  preprocess,
  classes: list(text),
  palette: list(color),
  checkpoint: fileMember,
};

/** Checks preprocessing options alone, by the names of a config. */
export function checkPreprocess(value: unknown): PreprocessOptions {
  preprocess(value, 'preprocess');
  return value as PreprocessOptions;
}

/** Throws ERR_MODEL_CONFIG where names or colours are not as many as the classes that the network has. */
export function checkClassCounts(config: BaseConfig, count: number | undefined, source: string): void {
  for (const name of ['classes', 'palette'] as const) {
    const length = config[name]?.length;
    if (length !== undefined && count !== undefined && length !== count) {
      throw configError(name, `${count} elements, as ${source} says,`, `${length} elements`);
    }
  }
}

/** A config with the folder that its files are relative to. */
export interface LocatedConfig<Config extends BaseConfig = BaseConfig> {
  readonly config: Config;
  readonly folder: string;
}

/** Reads a config.json and checks it. Throws ERR_MODEL_CONFIG for a file that is missing, no JSON, or wrong inside. */
export async function readConfig<Config extends BaseConfig>(
  path: string,
  check: (value: unknown) => Config,
): Promise<LocatedConfig<Config>> {
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
  return { config: check(content), folder: dirname(resolve(path)) };
}

/** Absolute path of a file that a config names. */
export function configPath({ folder }: LocatedConfig, { file: name }: ConfigFile): string {
  return isAbsolute(name) ? name : resolve(folder, name);
}
