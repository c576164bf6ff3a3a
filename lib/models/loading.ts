import { basename, dirname, resolve } from 'node:path';
import { Checkpoint } from '../checkpoint/checkpoint';
import type { StateDict } from '../checkpoint/state-dict';
import { checkDevice, type Device } from '../device';
import { checkDType, type DType } from '../dtype';
import { FreqFusionError, invalidArgument } from '../errors';
import { makePalette } from '../image/palette';
import { checkRgb, type Rgb } from '../image/types';
import { type CudaGraphOption, graphCapacity } from '../jobs';
import type { LoadReport } from '../modules/load-report';
import type { Module } from '../modules/module';
import type { Border } from '../ops/carafe';
import { type BaseConfig, configPath, type LocatedConfig } from './config-file';
import { hintElsewhere } from './loaders';
import { configFileAt, type Registry } from './registry';

/** Options that every loader takes. */
export interface LoadOptions<Config extends BaseConfig> {
  /**
   * Name of an architecture, path of a config.json, or a config. Default: the config.json beside the checkpoint that
   * names it, or what the checkpoint's keys and shapes tell.
   */
  architecture?: string | Config;
  /** Default 'cpu'. */
  device?: Device;
  /** Element type of the weights and of the computation. Default 'float32'. */
  dtype?: DType;
  /**
   * Capture the network in CUDA graphs, one for each size of its input; see {@link GraphOptions.cudaGraph}. Worth it
   * where images come in few sizes. Default false; ERR_DEVICE with device 'cpu'.
   */
  cudaGraph?: CudaGraphOption;
  /** Throw where a key is missing, unexpected or of another shape. Default true. */
  strict?: boolean;
  /** True: the averaged weights (EMA); false: the trained ones. Default: what the file's framework would load. */
  ema?: boolean;
  /** What CARAFE reads outside a map: 'zeros' (default; every published checkpoint) or 'reflect'. */
  border?: Border;
  /** Class names. Default: the checkpoint's own (meta.CLASSES), the architecture's, or numbers. */
  classes?: readonly string[];
  /** Class colours. Default: the checkpoint's own (meta.PALETTE), the architecture's, or a generated palette. */
  palette?: readonly Rgb[];
}

/** Everything that a loaded model of whatever kind says of itself. */
export interface LoadedInfo {
  /** Name of the architecture; undefined for a network of sizes of its own. */
  readonly architecture: string | undefined;
  readonly description: string | undefined;
  /** Number of trained parameters. */
  readonly parameters: number;
  readonly checkpoint: string;
  readonly format: string;
  readonly device: Device;
  readonly dtype: DType;
  /** Keys that were missing, unexpected or mismatched; empty lists after a strict load. */
  readonly loaded: LoadReport;
}

/** What a loader finds out of a state dict. */
export interface Described<Config extends BaseConfig> {
  readonly located: LocatedConfig<Config>;
  /** What stands before the network's own names. */
  readonly prefix: string;
  readonly numClasses: number;
}

/** What one kind of model adds to loading. */
export interface ModelKind<Config extends BaseConfig, Network extends Module, Options> {
  readonly registry: Registry<Config>;
  /** Class names by their number, for checkpoints and configs that have none. */
  readonly knownClasses: readonly (readonly string[])[];
  /**
   * The config of a state dict: the given one, or what names and shapes tell; undefined where it is none of this
   * kind. `trainingConfig` is the text that mmcv stores in a checkpoint.
   */
  describe(
    stateDict: StateDict,
    given: LocatedConfig<Config> | undefined,
    trainingConfig: string | undefined,
    file: string,
  ): Promise<Described<Config> | undefined>;
  build(config: Config, numClasses: number, options: Options): Network;
}

/** A network with its weights, on its device. */
export interface LoadedNetwork<Config extends BaseConfig, Network extends Module> {
  readonly network: Network;
  readonly located: LocatedConfig<Config>;
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly info: LoadedInfo;
}

/** Loads a network from a checkpoint: what all loaders have in common. Throws as `loadModel` says. */
export async function loadNetwork<
  Config extends BaseConfig,
  Network extends Module,
  Options extends LoadOptions<Config>,
>(
  kind: ModelKind<Config, Network, Options>,
  path: string | undefined,
  options: Options,
): Promise<LoadedNetwork<Config, Network>> {
  checkOptions(path, options);
  const { registry } = kind;
  const named = options.architecture === undefined ? undefined : await registry.resolve(options.architecture);
  const { file, beside } = await findCheckpoint(registry, path, named);
  const checkpoint = await Checkpoint.open(file);
  let network: Network | undefined;
  try {
    const stateDict = checkpoint.stateDict(options.ema === undefined ? {} : { ema: options.ema });
    const meta = readMeta(checkpoint.metadata);
    const described = await kind.describe(stateDict, named ?? beside, meta.config, file);
    if (described === undefined) throw unknownKeys(stateDict, registry, file);
    const { located, prefix, numClasses } = described;
    const { config } = located;
    network = kind.build(config, numClasses, options);
    const loaded = await network.loadStateDict(stateDict, { strict: options.strict ?? true, prefix });
    const { device = 'cpu', dtype = 'float32' } = options;
    await network.to({ device, dtype });
    return {
      network,
      located,
      classes: chooseClasses(numClasses, options, meta, config, kind.knownClasses),
      palette: choosePalette(numClasses, options, meta, config),
      info: {
        architecture: config.name,
        description: config.description,
        parameters: network.parameterCount,
        checkpoint: file,
        format: checkpoint.format,
        device,
        dtype,
        loaded,
      },
    };
  } catch (error) {
    network?.dispose();
    throw error;
  } finally {
    checkpoint.close();
  }
}

function unknownKeys<Config extends BaseConfig>(
  stateDict: StateDict,
  registry: Registry<Config>,
  file: string,
): FreqFusionError {
  const names = stateDict.names();
  const actual = names.length === 0 ? 'no tensors' : `keys such as ${names.slice(0, 3).join(', ')}`;
  const hint = hintElsewhere(registry.loader, { stateDict });
  // The list of names helps where it is not another loader that is meant.
  const expected =
    hint === '' ? `the keys of one of ${registry.names.join(', ')}` : `a model for ${registry.loader}`;
  return new FreqFusionError(
    'ERR_MODEL_ARCHITECTURE',
    `expected ${expected} in ${file}, got ${actual}${hint}`,
    { expected, actual },
  );
}

function checkOptions<Config extends BaseConfig>(path: unknown, options: LoadOptions<Config>): void {
  if (path !== undefined && typeof path !== 'string')
    throw invalidArgument('ERR_TYPE', 'path', 'a path', path);
  const { device = 'cpu', dtype, strict, border, palette, cudaGraph } = options;
  checkDevice(device);
  if (graphCapacity(cudaGraph) > 0 && device === 'cpu') {
    throw invalidArgument('ERR_DEVICE', 'device', "'cuda' or 'cuda:N' with cudaGraph", device);
  }
  if (dtype !== undefined && !/^b?float/.test(checkDType(dtype))) {
    throw invalidArgument('ERR_DTYPE', 'dtype', 'a floating-point dtype', dtype);
  }
  if (strict !== undefined && typeof strict !== 'boolean')
    throw invalidArgument('ERR_TYPE', 'strict', 'a boolean', strict);
  if (border !== undefined && border !== 'zeros' && border !== 'reflect') {
    throw invalidArgument('ERR_OPTION_VALUE', 'border', "'zeros' or 'reflect'", border);
  }
  palette?.forEach((color, i) => void checkRgb(color, `palette[${i}]`));
}

/** The checkpoint's file, and the config that lies beside it and names it. */
async function findCheckpoint<Config extends BaseConfig>(
  registry: Registry<Config>,
  path: string | undefined,
  named: LocatedConfig<Config> | undefined,
): Promise<{ file: string; beside: LocatedConfig<Config> | undefined }> {
  if (path === undefined && named?.config.checkpoint !== undefined) {
    return { file: configPath(named, named.config.checkpoint), beside: named };
  }
  if (path === undefined && named !== undefined) {
    const expected = `a checkpoint for the architecture ${named.config.name ?? 'of the config'}`;
    throw invalidArgument('ERR_MODEL_CHECKPOINT', 'path', expected, undefined);
  }
  const place = path ?? registry.bundledFolder;
  const config = await configFileAt(place);
  if (config !== undefined) {
    const located = await registry.read(config);
    if (located.config.checkpoint === undefined) {
      throw invalidArgument('ERR_MODEL_CONFIG', 'checkpoint', 'the file of the weights', undefined);
    }
    return { file: configPath(located, located.config.checkpoint), beside: located };
  }
  // Configs of other programs are often called config.json too: one that does not name this file says nothing of it.
  const sibling = await configFileAt(dirname(resolve(place)));
  const located = sibling === undefined ? undefined : await registry.read(sibling).catch(() => undefined);
  const names = located?.config.checkpoint?.file === basename(place);
  return { file: place, beside: names ? located : undefined };
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
      ? value.map((each: string) => each.trim())
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
  options: { classes?: readonly string[] },
  meta: Meta,
  config: BaseConfig,
  known: readonly (readonly string[])[],
): readonly string[] {
  if (options.classes !== undefined) return fitting('classes', options.classes, count);
  const found = [meta.classes, config.classes, ...known].find((names) => names?.length === count);
  return found ?? Array.from({ length: count }, (_, index) => `class ${index}`);
}

function choosePalette(
  count: number,
  options: { palette?: readonly Rgb[] },
  meta: Meta,
  config: BaseConfig,
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
