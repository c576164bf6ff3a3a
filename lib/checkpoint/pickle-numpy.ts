import { refuse } from './codes';
import { type Contents, finish, newContext } from './contents';
import { unpickle } from './pickle/machine';
import type { ByteSource } from './source';

/** The longest typed array that Node.js 20 has; the elements lie inside the pickle. */
const MAX_PICKLE = 2 ** 32 - 1;

/** Reads a plain pickle of numpy arrays: detectron2's .pkl files and caffe2's from Python 2. */
export function readPickleNumpy(source: ByteSource): Contents {
  if (source.size > MAX_PICKLE) {
    refuse(
      'ERR_CHECKPOINT_PICKLE_LENGTH',
      'a plain pickle',
      `at most ${MAX_PICKLE} bytes`,
      String(source.size),
    );
  }
  const context = newContext(source, source.size);
  const { value } = unpickle({ bytes: source.view(0, source.size), position: 0 }, context);
  return finish({ format: 'pickle-numpy', root: value, storages: [] }, context);
}
