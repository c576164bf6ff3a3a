import { dirname, join, resolve } from 'node:path';
import { Checkpoint } from '../checkpoint/checkpoint';
import { checkSeed } from '../device';
import { invalidArgument } from '../errors';
import { SegNeXt, type SegNeXtOptions } from '../modules/segnext';
import type { Tensor } from '../tensor';
import { ADE20K_CLASSES } from './ade20k';
import { ADE20K_PREPROCESS, BUNDLED_FOLDER, SEGMENTATION_MODELS } from './architectures';
import type { ModelConfig } from './config';
import { configPath, type LocatedConfig } from './config-file';
import { guessConfig, readSegNeXt } from './guess';
import { type LoadOptions, loadNetwork, type ModelKind } from './loading';
import { SegmentationModel } from './segmentation-model';

/** Options of {@link loadModel}. */
export interface LoadModelOptions extends LoadOptions<ModelConfig> {
  /** Seed of the Hamburger's starting bases, which the reference draws anew at every forward. Default 0. */
  nmfSeed?: number;
  /** The bases themselves, [S, D, R], instead of a seed. They are copied. */
  nmfBases?: Tensor<'float32'>;
}

/**
 * Loads a model from a checkpoint: a .pth, .pt or .safetensors file, a config.json that names one, or the folder of
 * such a config. Without a path it is the bundled page layout model.
 *
 * Throws ERR_MODEL_ARCHITECTURE where the architecture is unknown or cannot be told from the checkpoint,
 * ERR_MODEL_CONFIG for a wrong config, ERR_MODEL_CLASSES where names or colours do not fit the number of classes,
 * CheckpointError for the file, and StateDictError for its keys.
 */
export async function loadModel(path?: string, options: LoadModelOptions = {}): Promise<SegmentationModel> {
  const { nmfSeed } = options;
  if (nmfSeed !== undefined) checkSeed(nmfSeed, 'nmfSeed');
  const { network, located, classes, palette, info } = await loadNetwork(SEGMENTATION, path, options);
  try {
    const { preprocess = ADE20K_PREPROCESS, inference = { mode: 'whole' } } = located.config;
    return new SegmentationModel({
      network,
      nmfBases: await findBases(located, options),
      cudaGraph: options.cudaGraph ?? false,
      classes,
      palette,
      info: { ...info, preprocess, inference },
    });
  } catch (error) {
    network.dispose();
    throw error;
  }
}

const SEGMENTATION: ModelKind<ModelConfig, SegNeXt, LoadModelOptions> = {
  registry: SEGMENTATION_MODELS,
  knownClasses: [ADE20K_CLASSES],
  async describe(stateDict, given, trainingConfig, file) {
    const guess = readSegNeXt(stateDict);
    if (guess === undefined) return undefined;
    const { prefix } = guess;
    const numClasses = guess.options.head?.numClasses ?? 0;
    if (given !== undefined) return { located: given, prefix, numClasses };
    const bundled = await SEGMENTATION_MODELS.bundled();
    const known = [...SEGMENTATION_MODELS.published(), bundled.config];
    const config = guessConfig(guess, known, trainingConfig);
    const folder = config.name === bundled.config.name ? bundled.folder : dirname(resolve(file));
    return { located: { config, folder }, prefix, numClasses };
  },
  build: (config, numClasses, options) => new SegNeXt(networkOptions(config, numClasses, options)),
};

function networkOptions(config: ModelConfig, numClasses: number, options: LoadModelOptions): SegNeXtOptions {
  const { backbone, head } = config.network.options;
  const { border, nmfSeed } = options;
  return {
    ...(backbone && { backbone }),
    head: {
      ...head,
      numClasses,
      ...(border !== undefined && head?.type !== 'LightHamHead' && { border }),
      hamKwargs: { ...head?.hamKwargs, ...(nmfSeed !== undefined && { nmfSeed }) },
    },
  };
}

/** The bases: those given, else none where a seed is given, else the config's own. */
async function findBases(
  located: LocatedConfig<ModelConfig>,
  options: LoadModelOptions,
): Promise<Tensor | undefined> {
  if (options.nmfBases !== undefined) return options.nmfBases.clone();
  const { nmfBases } = located.config;
  if (options.nmfSeed !== undefined || nmfBases === undefined) return undefined;
  const file = configPath(located, nmfBases);
  const checkpoint = await Checkpoint.open(file);
  try {
    const entries = [...checkpoint.stateDict()];
    const entry =
      nmfBases.tensor === undefined ? entries[0] : entries.find(({ name }) => name === nmfBases.tensor);
    if (entry === undefined) {
      throw invalidArgument(
        'ERR_MODEL_CONFIG',
        'nmfBases.tensor',
        `the name of a tensor in ${file}`,
        nmfBases.tensor,
      );
    }
    using view = entry.tensor();
    return view.clone();
  } finally {
    checkpoint.close();
  }
}

/** Path of a page that comes with the package, for trying the bundled model. */
export function bundledPage(index = 0): string {
  if (!Number.isInteger(index) || index < 0 || index > 23) {
    throw invalidArgument('ERR_RANGE', 'index', 'an integer from 0 to 23', index);
  }
  return join(BUNDLED_FOLDER, 'val', `page_${String(index).padStart(2, '0')}.png`);
}
