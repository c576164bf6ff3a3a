import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { invalidArgument } from '../errors';
import { nearestName } from '../modules/nearest-name';
import type { PreprocessOptions } from '../modules/segmentation-options';
import { SEGNEXT_VARIANTS } from '../modules/segnext-variants';
import { ADE20K_CLASSES } from './ade20k';
import { checkModelConfig, type LocatedConfig, type ModelConfig, readModelConfig } from './config';

/** Folder of the model that comes with the package. */
export const BUNDLED_FOLDER = join(__dirname, '..', '..', 'models', 'layout');

/** The architecture of the model that comes with the package. */
export const BUNDLED_ARCHITECTURE = 'layout-segnext-nano-freqfusion';

/** mmsegmentation's ADE20K test pipeline for SegNeXt: shorter side 512, longer at most 2048, stretched to 32s. */
export const ADE20K_PREPROCESS: PreprocessOptions = {
  resize: { mode: 'keep-ratio', scale: [2048, 512] },
  multiple: { divisor: 32, how: 'stretch' },
  mean: [123.675, 116.28, 103.53],
  std: [58.395, 57.12, 57.375],
};

const HEADS = [
  { suffix: '', type: 'LightHamHead', with: 'with its own head' },
  { suffix: '-freqfusion', type: 'LightHamHeadFreqAware', with: 'with FreqFusion in its head' },
] as const;

function published(): Map<string, ModelConfig> {
  const configs = Object.entries(SEGNEXT_VARIANTS).flatMap(([size, { backbone, head }]) =>
    HEADS.map(
      ({ suffix, type, with: what }): ModelConfig => ({
        name: `segnext-${size}${suffix}`,
        description: `SegNeXt ${size} ${what}, ADE20K`,
        task: 'semantic-segmentation',
        network: {
          kind: 'segnext',
          options: {
            ...(backbone && { backbone }),
            head: { ...head, type, numClasses: ADE20K_CLASSES.length },
          },
        },
        preprocess: ADE20K_PREPROCESS,
        inference: { mode: 'whole' },
      }),
    ),
  );
  return new Map(configs.map((config) => [config.name!, config]));
}

const PUBLISHED: ReadonlyMap<string, ModelConfig> = published();

/** Names that `architecture` takes, beside the path of a config.json and a config object. */
export const ARCHITECTURES: readonly string[] = [...PUBLISHED.keys(), BUNDLED_ARCHITECTURE];

/** The published configs, without the bundled one: what a state dict is compared with. */
export function publishedConfigs(): Iterable<ModelConfig> {
  return PUBLISHED.values();
}

/** The config of the bundled model. */
export function bundledConfig(): Promise<LocatedConfig> {
  return readModelConfig(join(BUNDLED_FOLDER, 'config.json'));
}

/**
 * The config that an `architecture` argument stands for: a registered name, the path of a config.json (or of the
 * folder with one), or a config object, whose files are relative to the working directory.
 * Throws ERR_MODEL_ARCHITECTURE for a name that is none of these and ERR_MODEL_CONFIG for a wrong config.
 */
export async function resolveArchitecture(architecture: string | ModelConfig): Promise<LocatedConfig> {
  if (typeof architecture === 'object' && architecture !== null) {
    return { config: checkModelConfig(architecture), folder: process.cwd() };
  }
  if (typeof architecture === 'string') {
    const config = PUBLISHED.get(architecture);
    if (config !== undefined) return { config, folder: process.cwd() };
    if (architecture === BUNDLED_ARCHITECTURE) return bundledConfig();
    const file = await configFileAt(architecture);
    if (file !== undefined) return readModelConfig(file);
  }
  const near = typeof architecture === 'string' ? nearestName(architecture, ARCHITECTURES) : undefined;
  const hint = near === undefined ? '' : ` (the nearest is ${near})`;
  throw invalidArgument(
    'ERR_MODEL_ARCHITECTURE',
    'architecture',
    `one of ${ARCHITECTURES.join(', ')}, or the path of a config.json${hint}`,
    architecture,
  );
}

/** The config.json that a path stands for, itself or in that folder; undefined where there is none. */
export async function configFileAt(path: string): Promise<string | undefined> {
  for (const candidate of path.endsWith('.json') ? [path] : [join(path, 'config.json')]) {
    const status = await stat(candidate).catch(() => undefined);
    if (status?.isFile()) return candidate;
  }
  return undefined;
}
