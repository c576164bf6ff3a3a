import { invalidArgument } from '../../errors';
import type { ImageInput } from '../../image/types';
import { ServerError } from '../errors';
import { elementsOf } from './datatypes';
import { INPUTS } from './model-tensors';
import type { RequestTensor } from './request';

/** Most images of a request. */
export const MAX_IMAGES = 256;

/** An image of a request, and the bytes that it holds while it waits. */
export interface RequestImage {
  readonly image: ImageInput;
  readonly bytes: number;
}

/** The images of a request. */
export interface RequestImages {
  readonly images: readonly RequestImage[];
  /** Height and width of all of them, where that is known before they are decoded. */
  readonly size?: readonly [height: number, width: number];
}

/**
 * Reads the images of a request: views of the pixels of `image`, or the files of `encoded_image`.
 * Throws ERR_REQUEST_TENSOR, ERR_REQUEST_SHAPE, ERR_REQUEST_VALUE, and ERR_IMAGE_TOO_LARGE.
 */
export function readImages(inputs: readonly RequestTensor[], maxPixels: number): RequestImages {
  const names = INPUTS.map(({ name }) => name);
  for (const { name } of inputs) {
    if (!names.includes(name)) {
      throw invalidArgument('ERR_REQUEST_TENSOR', 'an input', names.join(' or '), name);
    }
  }
  if (inputs.length !== 1) {
    const actual = inputs.length === 0 ? 'none' : inputs.map(({ name }) => name).join(', ');
    throw new ServerError(
      'ERR_REQUEST_TENSOR',
      `expected ${names.join(' or ')} as the input, got ${actual}`,
      {
        expected: `one of ${names.join(', ')}`,
        actual,
      },
    );
  }
  const input = inputs[0]!;
  const { datatype } = INPUTS.find(({ name }) => name === input.name)!;
  if (input.datatype !== datatype) {
    throw invalidArgument('ERR_REQUEST_TENSOR', `${input.name}'s datatype`, datatype, input.datatype);
  }
  return input.name === 'image' ? readPixels(input, maxPixels) : readFiles(input);
}

function checkCount(count: number, name: string): void {
  if (count >= 1 && count <= MAX_IMAGES) return;
  throw invalidArgument('ERR_REQUEST_SHAPE', name, `from 1 to ${MAX_IMAGES} images`, count);
}

function readPixels(input: RequestTensor, maxPixels: number): RequestImages {
  const { name, shape } = input;
  const elements = elementsOf(shape, `${name}'s shape`);
  const [count, height, width, channels] = shape as readonly [number, number, number, number];
  if (shape.length !== 4 || channels !== 3 || height < 1 || width < 1) {
    throw invalidArgument('ERR_REQUEST_SHAPE', `${name}'s shape`, '[N, H, W, 3]', shape);
  }
  checkCount(count, name);
  if (height * width > maxPixels) {
    throw new ServerError(
      'ERR_IMAGE_TOO_LARGE',
      `${name} has ${width} x ${height} pixels, more than ${maxPixels}`,
      {
        expected: `at most ${maxPixels} pixels`,
        actual: `${width} x ${height} pixels`,
      },
    );
  }
  const pixels = input.read(elements) as Uint8Array;
  const bytes = height * width * 3;
  const images = Array.from({ length: count }, (_, i) => {
    const data = pixels.subarray(i * bytes, (i + 1) * bytes);
    return { image: { data, height, width, channels: 3 as const }, bytes };
  });
  return { images, size: [height, width] };
}

function readFiles(input: RequestTensor): RequestImages {
  const { name, shape } = input;
  const count = elementsOf(shape, `${name}'s shape`);
  if (shape.length !== 1) throw invalidArgument('ERR_REQUEST_SHAPE', `${name}'s shape`, '[N]', shape);
  checkCount(count, name);
  const files = input.read(count) as readonly Uint8Array[];
  return { images: files.map((image) => ({ image, bytes: image.length })) };
}
