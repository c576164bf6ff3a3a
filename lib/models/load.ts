import { basename, dirname, join, resolve } from 'node:path';
import { Checkpoint } from '../checkpoint/checkpoint';
import type { StateDict } from '../checkpoint/state-dict';
import { checkDevice, checkSeed, type Device } from '../device';
import { checkDType, type DType } from '../dtype';
import { FreqFusionError, invalidArgument } from '../errors';
import { makePalette } from '../image/palette';
import { checkRgb, type Rgb } from '../image/types';
import { type CudaGraphOption, graphCapacity } from '../jobs';
import { SegNeXt, type SegNeXtOptions } from '../modules/segnext';
import type { Border } from '../ops/carafe';
import type { Tensor } from '../tensor';
import { ADE20K_CLASSES } from './ade20k';
import {
  ADE20K_PREPROCESS,
  ARCHITECTURES,
  BUNDLED_FOLDER,
  bundledConfig,
  configFileAt,
  publishedConfigs,
  resolveArchitecture,
} from './architectures';
import { configPath, type LocatedConfig, type ModelConfig, readModelConfig } from './config';
import { guessConfig, readSegNeXt } from './guess';
import { SegmentationModel } from './segmentation-model';

/** Options of {@link loadModel}. */
export interface LoadModelOptions {
  /**
   * Name of an architecture (see {@link ARCHITECTURES}), path of a config.json, or a config. Default: the config.json
   * beside the checkpoint that names it, or what the checkpoint's keys and shapes tell.
   */
  architecture?: string | ModelConfig;
  /** Default 'cpu'. */
  device?: Device;
  /**
   * Capture the network in CUDA graphs, one for each size of its input; see {@link GraphOptions.cudaGraph}. Worth it
   * where images come in few sizes. Default false; ERR_DEVICE with device 'cpu'.
   */
  cudaGraph?: CudaGraphOption;
  /** Element type of the weights and of the computation. Default 'float32'. */
  dtype?: DType;
  /** Throw where a key is missing, unexpected or of another shape. Default true. */
  strict?: boolean;
  /** True: the averaged weights (EMA); false: the trained ones. Default: what the file's framework would load. */
  ema?: boolean;
  /** What CARAFE reads outside a map: 'zeros' (default; every published checkpoint) or 'reflect'. */
  border?: Border;
  /** Seed of the Hamburger's starting bases, which the reference draws anew at every forward. Default 0. */
  nmfSeed?: number;
  /** The bases themselves, [S, D, R], instead of a seed. They are copied. */
  nmfBases?: Tensor<'float32'>;
  /** Class names. Default: the checkpoint's own (meta.CLASSES), the architecture's, or numbers. */
  classes?: readonly string[];
  /** Class colours. Default: the checkpoint's own (meta.PALETTE), the architecture's, or a generated palette. */
  palette?: readonly Rgb[];
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
  checkOptions(path, options);
  const named =
    options.architecture === undefined ? undefined : await resolveArchitecture(options.architecture);
  const { file, beside } = await findCheckpoint(path, named);
  const checkpoint = await Checkpoint.open(file);
  let network: SegNeXt | undefined;
  try {
    const stateDict = checkpoint.stateDict(options.ema === undefined ? {} : { ema: options.ema });
    const meta = readMeta(checkpoint.metadata);
    const { located, prefix, numClasses } = await describeNetwork(
      stateDict,
      named ?? beside,
      meta.config,
      file,
    );
    const { config } = located;
    network = new SegNeXt(networkOptions(config, numClasses, options));
    const loaded = await network.loadStateDict(stateDict, { strict: options.strict ?? true, prefix });
    const { device = 'cpu', dtype = 'float32' } = options;
    await network.to({ device, dtype });
    const nmfBases = await findBases(located, options);
    return new SegmentationModel({
      network,
      nmfBases,
      cudaGraph: options.cudaGraph ?? false,
      classes: chooseClasses(numClasses, options, meta, config),
      palette: choosePalette(numClasses, options, meta, config),
      info: {
        architecture: config.name,
        description: config.description,
        parameters: network.parameterCount,
        checkpoint: file,
        format: checkpoint.format,
        device,
        dtype,
        preprocess: config.preprocess ?? ADE20K_PREPROCESS,
        inference: config.inference ?? { mode: 'whole' },
        loaded,
      },
    });
  } catch (error) {
    network?.dispose();
    throw error;
  } finally {
    checkpoint.close();
  }
}

function checkOptions(path: unknown, options: LoadModelOptions): void {
  if (path !== undefined && typeof path !== 'string')
    throw invalidArgument('ERR_TYPE', 'path', 'a path', path);
  const { device, dtype, nmfSeed, strict, border, palette, cudaGraph } = options;
  if (device !== undefined) checkDevice(device);
  if (graphCapacity(cudaGraph) > 0 && (device ?? 'cpu') === 'cpu') {
    throw invalidArgument('ERR_DEVICE', 'device', "'cuda' or 'cuda:N' with cudaGraph", device ?? 'cpu');
  }
  if (dtype !== undefined && !/^b?float/.test(checkDType(dtype))) {
    throw invalidArgument('ERR_DTYPE', 'dtype', 'a floating-point dtype', dtype);
  }
  if (nmfSeed !== undefined) checkSeed(nmfSeed, 'nmfSeed');
  if (strict !== undefined && typeof strict !== 'boolean')
    throw invalidArgument('ERR_TYPE', 'strict', 'a boolean', strict);
  if (border !== undefined && border !== 'zeros' && border !== 'reflect') {
    throw invalidArgument('ERR_OPTION_VALUE', 'border', "'zeros' or 'reflect'", border);
  }
  palette?.forEach((color, i) => void checkRgb(color, `palette[${i}]`));
}

/** The checkpoint's file, and the config that lies beside it and names it. */
async function findCheckpoint(
  path: string | undefined,
  named: LocatedConfig | undefined,
): Promise<{ file: string; beside: LocatedConfig | undefined }> {
  if (path === undefined && named?.config.checkpoint !== undefined) {
    return { file: configPath(named, named.config.checkpoint), beside: named };
  }
  if (path === undefined && named !== undefined) {
    const expected = `a checkpoint for the architecture ${named.config.name ?? 'of the config'}`;
    throw invalidArgument('ERR_MODEL_CHECKPOINT', 'path', expected, undefined);
  }
  const place = path ?? BUNDLED_FOLDER;
  const config = await configFileAt(place);
  if (config !== undefined) {
    const located = await readModelConfig(config);
    if (located.config.checkpoint === undefined) {
      throw invalidArgument('ERR_MODEL_CONFIG', 'checkpoint', 'the file of the weights', undefined);
    }
    return { file: configPath(located, located.config.checkpoint), beside: located };
  }
  // Configs of other programs are often called config.json too: one that does not name this file says nothing of it.
  const sibling = await configFileAt(dirname(resolve(place)));
  const located = sibling === undefined ? undefined : await readModelConfig(sibling).catch(() => undefined);
  const names = located?.config.checkpoint?.file === basename(place);
  return { file: place, beside: names ? located : undefined };
}

interface Described {
  readonly located: LocatedConfig;
  readonly prefix: string;
  readonly numClasses: number;
}

async function describeNetwork(
  stateDict: StateDict,
  given: LocatedConfig | undefined,
  trainingConfig: string | undefined,
  file: string,
): Promise<Described> {
  const guess = readSegNeXt(stateDict);
  if (guess === undefined) {
    const names = stateDict.names();
    const actual = names.length === 0 ? 'no tensors' : `keys such as ${names.slice(0, 3).join(', ')}`;
    const expected = `the keys of one of ${ARCHITECTURES.join(', ')}`;
    throw new FreqFusionError('ERR_MODEL_ARCHITECTURE', `expected ${expected} in ${file}, got ${actual}`, {
      expected,
      actual,
    });
  }
  const numClasses = guess.options.head?.numClasses ?? 0;
  if (given !== undefined) return { located: given, prefix: guess.prefix, numClasses };
  const bundled = await bundledConfig();
  const config = guessConfig(guess, [...publishedConfigs(), bundled.config], trainingConfig);
  const folder = config.name === bundled.config.name ? bundled.folder : dirname(resolve(file));
  return { located: { config, folder }, prefix: guess.prefix, numClasses };
}

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
async function findBases(located: LocatedConfig, options: LoadModelOptions): Promise<Tensor | undefined> {
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

interface Meta {
  readonly classes: readonly string[] | undefined;
  readonly palette: readonly Rgb[] | undefined;
  /** Text of the training config. */
  readonly config: string | undefined;
}

/** Names, colours and training config that mmcv stores under `meta`. What does not look right is left out. */
function readMeta(metadata: unknown): Meta {
  const record = asRecord(metadata);
  const meta = asRecord(record?.meta) ?? record;
  const texts = (value: unknown) =>
    Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
      ? value
      : undefined;
  const colors = (value: unknown) => {
    if (!Array.isArray(value) || value.length === 0) return undefined;
    const isColor = (each: unknown) =>
      Array.isArray(each) &&
      each.length === 3 &&
      each.every((c) => Number.isInteger(c) && c >= 0 && c <= 255);
    return value.every(isColor) ? (value as Rgb[]) : undefined;
  };
  return {
    classes: texts(meta?.CLASSES),
    palette: colors(meta?.PALETTE),
    config: typeof meta?.config === 'string' ? meta.config : undefined,
  };
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

function chooseClasses(
  count: number,
  options: LoadModelOptions,
  meta: Meta,
  config: ModelConfig,
): readonly string[] {
  if (options.classes !== undefined) return fitting('classes', options.classes, count);
  const found = [meta.classes, config.classes, ADE20K_CLASSES].find((names) => names?.length === count);
  return found ?? Array.from({ length: count }, (_, index) => `class ${index}`);
}

function choosePalette(
  count: number,
  options: LoadModelOptions,
  meta: Meta,
  config: ModelConfig,
): readonly Rgb[] {
  if (options.palette !== undefined) return fitting('palette', options.palette, count);
  return [meta.palette, config.palette].find((colors) => colors?.length === count) ?? makePalette(count);
}

function fitting<T>(name: string, values: readonly T[], count: number): readonly T[] {
  if (values.length === count) return values;
  throw invalidArgument(
    'ERR_MODEL_CLASSES',
    name,
    `${count} elements, one for each class of the checkpoint,`,
    values,
  );
}

/** Path of a page that comes with the package, for trying the bundled model. */
export function bundledPage(index = 0): string {
  if (!Number.isInteger(index) || index < 0 || index > 23) {
    throw invalidArgument('ERR_RANGE', 'index', 'an integer from 0 to 23', index);
  }
  return join(BUNDLED_FOLDER, 'val', `page_${String(index).padStart(2, '0')}.png`);
}
