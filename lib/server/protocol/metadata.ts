import { version } from '../../cli/version';
import type { Rgb } from '../../image/types';
import type { ServerOptions } from '../config';
import type { AnyServedModel } from '../model-repository';
import { PLATFORM } from './model-tensors';

const VERSION = version();

/** What the server says of itself; of the protocol's extensions, those that there are. */
export function serverMetadata({ admin }: Pick<ServerOptions, 'admin'>) {
  const extensions = ['binary_tensor_data', 'schedule_policy', ...(admin ? ['model_repository'] : [])];
  return { name: 'freqfusion', version: VERSION, extensions };
}

/** What the list of models says of one. */
export function modelSummary(served: AnyServedModel) {
  const { config, state } = served;
  const ready = state === 'ready';
  const { classes, palette }: { classes: readonly string[]; palette: readonly Rgb[] } = ready
    ? served.model
    : { classes: [], palette: [] };
  return {
    name: config.name,
    version: config.version,
    task: config.task,
    state,
    ready,
    platform: PLATFORM,
    classes: classes.map((className, index) => ({ index, name: className, color: palette[index]! })),
  };
}
