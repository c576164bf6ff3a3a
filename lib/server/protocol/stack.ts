import { ServerError } from '../errors';
import { type InferTensor, NUMERIC, type NumericData, type NumericDatatype } from './datatypes';

/**
 * Puts one tensor of each image behind another: [N, ...]. That of a single image is not copied.
 * Throws ServerError ERR_REQUEST_SIZES where their shapes differ.
 */
export function stack(
  name: string,
  datatype: NumericDatatype,
  parts: readonly { readonly shape: readonly number[]; readonly data: NumericData }[],
): InferTensor {
  const { shape, data } = parts[0]!;
  for (const [i, part] of parts.entries()) {
    if (part.shape.join() === shape.join()) continue;
    const expected = `images of one size, as ${name} is one tensor; [${shape.join(', ')}] as image 0`;
    const actual = `[${part.shape.join(', ')}] of image ${i}`;
    throw new ServerError(
      'ERR_REQUEST_SIZES',
      `expected ${expected}, got ${actual}: send images of different sizes in requests of their own`,
      { expected, actual },
    );
  }
  if (parts.length === 1) return { name, datatype, shape: [1, ...shape], data };
  const all = new NUMERIC[datatype].array(data.length * parts.length);
  for (const [i, part] of parts.entries()) all.set(part.data as never, i * data.length);
  return { name, datatype, shape: [parts.length, ...shape], data: all };
}
