import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import {
  BUNDLED_MODELS,
  checkedConfig,
  type ModelConfig,
  type ServeConfig,
  type ServerOptions,
} from './config';
import { type ConfigProblem, firstProblem } from './config-problems';
import { ServerError } from './errors';

/** Environment variables that {@link readServeConfig} and {@link defaultServeConfig} look at. */
export interface ConfigEnvironment {
  /** Keys that take the place of `server.apiKeys`, separated by commas. */
  readonly FREQFUSION_API_KEYS?: string | undefined;
}

/** What a config may say less of than a {@link ServeConfig}: everything else has its default. */
export interface PartialServeConfig {
  readonly server?: Partial<ServerOptions>;
  /** Default: the bundled models. */
  readonly models?: readonly (Pick<ModelConfig, 'name' | 'task'> & PartialModel)[];
}

type PartialModel = Partial<Omit<ModelConfig, 'batch' | 'queue'>> & {
  batch?: Partial<ModelConfig['batch']>;
  queue?: Partial<ModelConfig['queue']>;
};

/**
 * Reads the config of a server, YAML or JSON, and fills in every default. Paths in it are relative to it.
 * Rejects with ServerError ERR_SERVER_CONFIG, which names file, line, column and member.
 */
export async function readServeConfig(
  path: string,
  env: ConfigEnvironment = process.env,
): Promise<ServeConfig> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const reason = error.code ?? error.message;
    throw configError(path, { message: `cannot be read: ${reason}`, expected: 'a file', actual: reason });
  });
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  // Warnings are of tags that nobody knows: a value would be silently taken for something else.
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken !== undefined) {
    const message = broken.message.split('\n')[0]!;
    throw configError(place(broken.pos[0]), { message, expected: 'YAML or JSON', actual: message });
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    const { message } = error as Error;
    throw configError(place(0), { message, expected: 'YAML or JSON', actual: message });
  }
  const problem = firstProblem(value, {
    value: (member) => offsetOf(document, member),
    name: (member) => nameOffsetOf(document, member),
  });
  if (problem !== undefined) throw configError(place(problem.offset), problem);
  return finish(value, dirname(resolve(path)), env);
}

/**
 * The config of a server that nobody wrote a file for: the bundled models, and defaults for everything that the given
 * part does not say. Relative paths are taken from the working directory. Throws ServerError ERR_SERVER_CONFIG.
 */
export function defaultServeConfig(
  overrides: PartialServeConfig = {},
  env: ConfigEnvironment = process.env,
): ServeConfig {
  const value = { ...overrides, models: overrides.models ?? BUNDLED_MODELS };
  const problem = firstProblem(value);
  if (problem !== undefined) throw configError('config', problem);
  return finish(value, process.cwd(), env);
}

function finish(value: unknown, folder: string, env: ConfigEnvironment): ServeConfig {
  const { server, models } = checkedConfig(value);
  const apiKeys = keysOf(env) ?? server.apiKeys;
  return { server: { ...server, apiKeys }, models: models.map((model) => located(model, folder)) };
}

/** A model with its paths absolute. An architecture is a path where it looks like one. */
function located(model: ModelConfig, folder: string): ModelConfig {
  const { checkpoint, architecture } = model;
  return {
    ...model,
    ...(checkpoint !== undefined && { checkpoint: resolve(folder, checkpoint) }),
    ...(architecture !== undefined &&
      /[/\\]|\.json$/.test(architecture) && { architecture: resolve(folder, architecture) }),
  };
}

function keysOf({ FREQFUSION_API_KEYS: text }: ConfigEnvironment): string[] | undefined {
  if (text === undefined) return undefined;
  const keys = text
    .split(',')
    .map((key) => key.trim())
    .filter((key) => key !== '');
  // A variable that is set and empty would open a server that was meant to be closed.
  if (keys.length > 0 && keys.every((key) => key.length >= 16)) return keys;
  const actual = keys.length === 0 ? 'none' : 'a shorter one';
  const expected = 'keys of at least 16 characters, separated by commas';
  throw configError('FREQFUSION_API_KEYS', {
    message: `expected ${expected}, got ${actual}`,
    expected,
    actual,
  });
}

/** Where a member's value stands in a file, or where there is none the place of what should hold it. */
function offsetOf(document: ReturnType<typeof parseDocument>, member: readonly (string | number)[]): number {
  for (let length = member.length; length >= 0; length -= 1) {
    const node = document.getIn(member.slice(0, length), true) as { range?: [number, number, number] } | null;
    if (node?.range) return node.range[0];
  }
  return 0;
}

/** Where the name of a member stands. */
function nameOffsetOf(
  document: ReturnType<typeof parseDocument>,
  member: readonly (string | number)[],
): number {
  const parent = document.getIn(member.slice(0, -1), true);
  const name = String(member.at(-1));
  const keys = isMap(parent) ? parent.items.map(({ key }) => key) : [];
  const key = keys.find((each) => isScalar(each) && String(each.value) === name);
  return isScalar(key) && key.range ? key.range[0] : offsetOf(document, member);
}

function configError(place: string, { message, expected, actual }: Omit<ConfigProblem, 'offset'>) {
  return new ServerError('ERR_SERVER_CONFIG', `${place}: ${message}`, { expected, actual });
}
