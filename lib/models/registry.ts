import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ArgumentError, describe } from '../errors';
import { nearestName } from '../modules/nearest-name';
import { type BaseConfig, type LocatedConfig, readConfig } from './config-file';
import { hintElsewhere, type LoaderName } from './loaders';

/** What makes a {@link Registry}. */
export interface RegistryInit<Config extends BaseConfig> {
  /** Configs by the names that `architecture` takes. */
  readonly published: ReadonlyMap<string, Config>;
  /** Name and folder of the model that comes with the package. */
  readonly bundled: { readonly name: string; readonly folder: string };
  readonly loader: LoaderName;
  /** Throws ERR_MODEL_CONFIG for what is no config of this kind. */
  readonly check: (value: unknown) => Config;
}

/** The architectures of one loader: the published ones, the bundled one, and configs in files. */
export class Registry<Config extends BaseConfig> {
  /** Names that `architecture` takes, beside the path of a config.json and a config object. */
  readonly names: readonly string[];
  readonly bundledFolder: string;
  readonly loader: LoaderName;
  readonly #init: RegistryInit<Config>;

  constructor(init: RegistryInit<Config>) {
    this.names = [...init.published.keys(), init.bundled.name];
    this.bundledFolder = init.bundled.folder;
    this.loader = init.loader;
    this.#init = init;
  }

  /** The published configs, without the bundled one: what a state dict is compared with. */
  published(): Iterable<Config> {
    return this.#init.published.values();
  }

  /** The config of the bundled model. */
  bundled(): Promise<LocatedConfig<Config>> {
    return this.read(join(this.bundledFolder, 'config.json'));
  }

  /** Reads and checks a config.json. Throws ERR_MODEL_CONFIG. */
  read(path: string): Promise<LocatedConfig<Config>> {
    return readConfig(path, this.#init.check);
  }

  /** See {@link resolveArchitecture}. */
  async resolve(architecture: string | Config): Promise<LocatedConfig<Config>> {
    const { published, bundled, check } = this.#init;
    if (typeof architecture === 'object' && architecture !== null) {
      return { config: check(architecture), folder: process.cwd() };
    }
    if (typeof architecture === 'string') {
      const config = published.get(architecture);
      if (config !== undefined) return { config, folder: process.cwd() };
      if (architecture === bundled.name) return this.bundled();
      const file = await configFileAt(architecture);
      if (file !== undefined) return this.read(file);
    }
    throw this.#unknown(architecture);
  }

  #unknown(architecture: unknown): ArgumentError {
    const name = typeof architecture === 'string' ? architecture : undefined;
    const elsewhere = name === undefined ? '' : hintElsewhere(this.loader, { name });
    const near = name === undefined || elsewhere !== '' ? undefined : nearestName(name, this.names);
    const nearest = near === undefined ? '' : ` (the nearest is ${near})`;
    const expected =
      elsewhere === ''
        ? `one of ${this.names.join(', ')}, or the path of a config.json${nearest}`
        : `an architecture of ${this.loader}`;
    const actual = describe(architecture);
    return new ArgumentError(
      'ERR_MODEL_ARCHITECTURE',
      `expected ${expected} for architecture, got ${actual}${elsewhere}`,
      { expected, actual },
    );
  }
}

/** The config.json that a path stands for, itself or in that folder; undefined where there is none. */
export async function configFileAt(path: string): Promise<string | undefined> {
  for (const candidate of path.endsWith('.json') ? [path] : [join(path, 'config.json')]) {
    const status = await stat(candidate).catch(() => undefined);
    if (status?.isFile()) return candidate;
  }
  return undefined;
}
