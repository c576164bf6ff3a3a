import type { StateDict } from '../checkpoint/state-dict';
import { configError } from './schema';

/** Names of the functions that load models. */
export type LoaderName = 'loadModel' | 'loadDetector';

interface Traits {
  /** The command's verb that uses such models. */
  readonly verb: string;
  readonly tasks: readonly string[];
  /** Architecture names. */
  readonly names: RegExp;
  /** A key that all of their checkpoints have, and no others. */
  readonly key: string;
}

const LOADERS: Readonly<Record<LoaderName, Traits>> = {
  loadModel: {
    verb: 'segment',
    tasks: ['semantic-segmentation'],
    names: /(^|-)segnext-/,
    key: 'backbone.patch_embed1.proj.0.weight',
  },
  loadDetector: {
    verb: 'detect',
    tasks: ['object-detection', 'instance-segmentation', 'panoptic-segmentation'],
    names: /(^|-)((faster|mask)-rcnn|panoptic-fpn)-/,
    key: 'rpn_head.rpn_conv.weight',
  },
};

/** Where in a state dict a model begins: what stands before `key` in its names, such as 'model.'. */
export function prefixOf(stateDict: StateDict, key: string): string | undefined {
  const found = stateDict.names().find((name) => name === key || name.endsWith(`.${key}`));
  return found?.slice(0, -key.length);
}

/** The key by which a loader knows its checkpoints. */
export function keyOf(loader: LoaderName): string {
  return LOADERS[loader].key;
}

/** A sentence that names the loader which takes what this one refuses; empty where none does. */
export function hintElsewhere(self: LoaderName, of: { stateDict: StateDict } | { name: string }): string {
  const takes = ({ names, key }: Traits) =>
    'name' in of ? names.test(of.name) : prefixOf(of.stateDict, key) !== undefined;
  return hint(self, takes);
}

function hint(self: LoaderName, takes: (traits: Traits) => boolean): string {
  for (const [name, traits] of Object.entries(LOADERS)) {
    if (name !== self && takes(traits)) return `. ${name} (freqfusion ${traits.verb}) takes it`;
  }
  return '';
}

/** Throws ERR_MODEL_CONFIG, naming the right loader, for a config whose task is another loader's. */
export function checkTask(config: unknown, self: LoaderName): void {
  const task = (config as { task?: unknown } | null)?.task;
  if (typeof task !== 'string') return;
  const elsewhere = hint(self, ({ tasks }) => tasks.includes(task));
  if (elsewhere === '') return;
  throw configError(
    'task',
    `one of ${LOADERS[self].tasks.map((each) => `'${each}'`).join(', ')}`,
    task,
    elsewhere,
  );
}
