import { type Contents, finish, newContext } from './contents';
import { unpickle } from './pickle/machine';
import type { ByteSource } from './source';

/** Reads a plain pickle of numpy arrays: detectron2's .pkl files and caffe2's from Python 2. */
export function readPickleNumpy(source: ByteSource): Contents {
  const context = newContext(source, source.size);
  const { value } = unpickle({ bytes: source.view(0, source.size), position: 0 }, context);
  return finish({ format: 'pickle-numpy', root: value, storages: [] }, context);
}
