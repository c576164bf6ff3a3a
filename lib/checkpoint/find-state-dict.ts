import { CheckpointError, invalidArgument } from '../errors';
import { quote, refuse } from './codes';
import { PyArray, PyDict, PyOpaque, PyTensor, PyUnsupported, type PyValue } from './pickle/values';

/** Keys under which training frameworks keep a model's weights, the likeliest first. */
const WEIGHT_KEYS = [
  'state_dict',
  'model_state_dict',
  'model_state',
  'model',
  'net',
  'network',
  'module',
  'weights',
  'params',
  'blobs',
];

/** The same for averaged weights. */
const EMA_KEYS = [
  'state_dict_ema',
  'model_state_dict_ema',
  'ema_state_dict',
  'model_ema',
  'ema_model',
  'ema',
  'params_ema',
  'teacher',
];

/** Keys of training state: tensors below them are no weights. */
const STATE_KEYS = new Set([
  ...EMA_KEYS,
  ...`optimizer optimizers optimizer_state optimizer_state_dict optimizer_states optim scheduler schedulers lr_scheduler
  lr_schedulers scheduler_state_dict scaler amp amp_scaler grad_scaler loss_scaler meta message_hub callbacks loops
  hyper_parameters hparams args cfg config rng rng_state random_state cuda_rng_state history _metadata`
    .trim()
    .split(/\s+/),
]);

/** True for a top-level key that only matters to whoever resumes a training. */
export function isTrainingState(key: string): boolean {
  return STATE_KEYS.has(key) && !RECORDS.has(key);
}

/** Those of STATE_KEYS that describe the model, and are worth keeping when its weights are converted. */
const RECORDS = new Set(['meta', 'hyper_parameters', 'hparams', 'args', 'cfg', 'config']);

/** Where a state dict was found. */
export interface Location {
  readonly path: readonly string[];
  readonly dict: PyDict;
}

/** Where the weights may be: one place that is clear, or several to choose from. */
export interface Candidates {
  readonly found: Location | undefined;
  readonly others: readonly Location[];
}

const MAX_SEARCH_DEPTH = 4;

/**
 * Finds the dictionary of the model's weights: under the first of the usual keys that leads to tensors, else right
 * here, else in the only dictionary below that has tensors and is no training state.
 */
export function findStateDict(root: PyValue): Candidates {
  if (root instanceof PyOpaque) wholeModel(root.className, 'the file');
  if (!(root instanceof PyDict)) {
    return refuse('ERR_CHECKPOINT_NO_STATE_DICT', 'the file', 'a dictionary of tensors', 'another value');
  }
  const candidates = search({ path: [], dict: root }, MAX_SEARCH_DEPTH);
  if (candidates.found !== undefined || candidates.others.length > 0) return candidates;
  for (const key of WEIGHT_KEYS) {
    const value = root.entries.get(key);
    if (value instanceof PyOpaque) wholeModel(value.className, `its key ${quote(key)}`);
  }
  return refuse('ERR_CHECKPOINT_NO_STATE_DICT', 'the file', 'a dictionary of tensors', describeKeys(root));
}

function search(here: Location, depth: number): Candidates {
  const none: Candidates = { found: undefined, others: [] };
  if (depth === 0) return none;
  for (const key of WEIGHT_KEYS) {
    const below = here.dict.entries.get(key);
    if (!(below instanceof PyDict)) continue;
    const inside = search({ path: [...here.path, key], dict: below }, depth - 1);
    if (inside.found !== undefined || inside.others.length > 0) return inside;
  }
  if (hasTensors(here.dict)) return { found: here, others: [] };
  const below: Candidates[] = [];
  for (const [key, value] of here.dict.entries) {
    if (typeof key !== 'string' || !(value instanceof PyDict) || STATE_KEYS.has(key)) continue;
    const inside = search({ path: [...here.path, key], dict: value }, depth - 1);
    if (inside.found !== undefined || inside.others.length > 0) below.push(inside);
    if (below.length > 32) break;
  }
  if (below.length === 1) return below[0]!;
  return { found: undefined, others: below.flatMap(({ found, others }) => (found ? [found] : others)) };
}

/** True where a text key leads to a tensor. numpy scalars do not count: they are figures such as a best score. */
function hasTensors(dict: PyDict): boolean {
  for (const [key, value] of dict.entries) {
    if (typeof key !== 'string') continue;
    if (value instanceof PyTensor || value instanceof PyUnsupported) return true;
    if (value instanceof PyArray && !value.scalar) return true;
  }
  return false;
}

/** The one place, or an error that lists the places to choose from with `at`. */
export function onlyOne({ found, others }: Candidates): Location {
  if (found !== undefined) return found;
  const places = others.map(({ path }) => quote(path.join('.'))).join(', ');
  throw new CheckpointError(
    'ERR_CHECKPOINT_AMBIGUOUS',
    `the file holds several state dicts: choose one with at: ${places}`,
    { expected: 'one state dict, or the option at', actual: places },
  );
}

/** The dictionary at a path given by the caller: keys in a list, or joined by dots. */
export function locate(root: PyValue, at: string | readonly string[]): Location {
  const path = typeof at === 'string' ? splitPath(root, at) : at;
  let here = root;
  for (const key of path) {
    const below: PyValue | undefined = here instanceof PyDict ? here.entries.get(key) : undefined;
    if (below === undefined)
      throw invalidArgument('ERR_CHECKPOINT_AT', 'at', `a path in the file (${describeKeys(here)})`, at);
    here = below;
  }
  if (here instanceof PyOpaque) wholeModel(here.className, `the path ${quote(path.join('.'))}`);
  if (!(here instanceof PyDict)) {
    throw invalidArgument('ERR_CHECKPOINT_AT', 'at', 'the path of a dictionary of tensors', at);
  }
  return { path, dict: here };
}

/** Keys may hold dots themselves: at each level the longest key that fits is taken. */
function splitPath(root: PyValue, text: string): string[] {
  const path: string[] = [];
  let here: PyValue | undefined = root;
  for (let rest = text; rest !== ''; ) {
    const keys: unknown[] = here instanceof PyDict ? [...here.entries.keys()] : [];
    const fits = keys.filter(
      (key): key is string => typeof key === 'string' && (rest === key || rest.startsWith(`${key}.`)),
    );
    const key = fits.sort((a, b) => b.length - a.length)[0] ?? rest;
    path.push(key);
    here = here instanceof PyDict ? here.entries.get(key) : undefined;
    rest = rest.slice(key.length + 1);
  }
  return path;
}

/** Averaged weights beside the plain ones, if the file has them under a key of their own. */
export function findAveraged(root: PyValue): Location | undefined {
  if (!(root instanceof PyDict)) return undefined;
  for (const key of EMA_KEYS) {
    const below = root.entries.get(key);
    if (!(below instanceof PyDict)) continue;
    const { found } = search({ path: [key], dict: below }, 2);
    if (found !== undefined) return found;
  }
  return undefined;
}

function wholeModel(className: string, where: string): never {
  refuse(
    'ERR_CHECKPOINT_WHOLE_MODEL',
    where,
    'a state dict',
    `a whole pickled object of ${quote(className)}, which cannot be loaded without running its code`,
    'Save the weights alone with torch.save(model.state_dict(), path)',
  );
}

function describeKeys(value: PyValue): string {
  if (!(value instanceof PyDict)) return 'no dictionary here';
  const keys = [...value.entries.keys()].filter((key) => typeof key === 'string').slice(0, 8);
  return keys.length === 0 ? 'a dictionary without text keys' : `the keys ${keys.map(quote).join(', ')}`;
}
