import { refuse } from './codes';
import { TensorBudget } from './geometry';
import { checkGraph } from './pickle/graph';
import type { PickleContext, PyValue } from './pickle/values';
import type { ByteSource } from './source';
import type { Storage } from './storage';

/** The four formats, by the names that `Checkpoint.format` has. */
export type CheckpointFormat = 'torch-zip' | 'torch-legacy' | 'pickle-numpy' | 'safetensors';

/** What a reader gives: the value that the file holds, and what checking all of its bytes takes. */
export interface Contents {
  readonly format: CheckpointFormat;
  readonly root: PyValue;
  /** Every storage of the file, in its order. */
  readonly storages: readonly Storage[];
  /** The texts of a safetensors file's __metadata__. */
  readonly texts?: Readonly<Record<string, string>>;
}

const FREE_WORK = 1 << 22;

/** What one file's pickles share: the account of tensors and of work. `size` is the bytes of the pickles. */
export function newContext(source: ByteSource, size: number): PickleContext {
  const limit = FREE_WORK + 4 * size;
  let work = 0;
  return {
    source,
    budget: new TensorBudget(),
    arrays: 0,
    charge(amount) {
      work += amount;
      if (work > limit) {
        refuse(
          'ERR_CHECKPOINT_PICKLE_LIMIT',
          'the pickle',
          `work in proportion to its ${size} bytes`,
          'more',
        );
      }
    },
  };
}

/** The checks that need the whole value. */
export function finish(contents: Contents, context: PickleContext): Contents {
  checkGraph(contents.root);
  context.budget.check();
  return contents;
}
