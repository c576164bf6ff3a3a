import { join } from 'node:path';
import type { PreprocessOptions } from '../modules/segmentation-options';
import { SEGNEXT_VARIANTS } from '../modules/segnext-variants';
import { ADE20K_CLASSES } from './ade20k';
import { checkModelConfig, type ModelConfig } from './config';
import type { LocatedConfig } from './config-file';
import { Registry } from './registry';

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

/** The architectures of `loadModel`. */
export const SEGMENTATION_MODELS: Registry<ModelConfig> = new Registry({
  published: published(),
  bundled: { name: BUNDLED_ARCHITECTURE, folder: BUNDLED_FOLDER },
  loader: 'loadModel',
  check: checkModelConfig,
});

/** Names that `architecture` takes, beside the path of a config.json and a config object. */
export const ARCHITECTURES: readonly string[] = SEGMENTATION_MODELS.names;

/** The published configs, without the bundled one: what a state dict is compared with. */
export function publishedConfigs(): Iterable<ModelConfig> {
  return SEGMENTATION_MODELS.published();
}

/** The config of the bundled model. */
export function bundledConfig(): Promise<LocatedConfig<ModelConfig>> {
  return SEGMENTATION_MODELS.bundled();
}

/**
 * The config that an `architecture` argument stands for: a registered name, the path of a config.json (or of the
 * folder with one), or a config object, whose files are relative to the working directory.
 * Throws ERR_MODEL_ARCHITECTURE for a name that is none of these and ERR_MODEL_CONFIG for a wrong config.
 */
export function resolveArchitecture(architecture: string | ModelConfig): Promise<LocatedConfig<ModelConfig>> {
  return SEGMENTATION_MODELS.resolve(architecture);
}
