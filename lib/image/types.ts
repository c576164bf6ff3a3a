import { invalidArgument } from '../errors';

/** A colour: red, green and blue from 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Container formats that {@link decodeImage} reads. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'tiff' | 'gif' | 'avif';

/**
 * Pixels in memory: row-major, interleaved, 8 bits a channel. `channels` is 1 (grey), 2 (grey and alpha), 3 (RGB)
 * or 4 (RGBA) and follows from the length where it is left out, so a canvas's ImageData is one as it stands.
 */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly channels?: 1 | 2 | 3 | 4;
}

/** A decoded image: [height, width, 3] bytes in RGB order, upright, without alpha. */
export interface DecodedImage extends RawImage {
  readonly data: Uint8Array;
  readonly channels: 3;
  /** The container it came from; 'raw' for pixels that were given as they are. */
  readonly format: ImageFormat | 'raw';
  /** The file it came from, where it came from one. */
  readonly file?: string;
}

/** Everything that is taken as an image: a path, a file: URL, encoded bytes, a stream of them, or raw pixels. */
export type ImageInput =
  | string
  | URL
  | ArrayBuffer
  | ArrayBufferView
  | Blob
  | AsyncIterable<Uint8Array | string>
  | ReadableStream<Uint8Array>
  | RawImage;

/** Options of {@link decodeImage}. */
export interface DecodeOptions {
  /** Greatest number of pixels, width x height, read from the header before anything is decoded. Default 100 million. */
  maxPixels?: number;
  /** Greatest number of encoded bytes that are read from a file or a stream. Default 512 MiB. */
  maxBytes?: number;
  /** What shows through transparent pixels. Default white. */
  background?: Rgb;
  /**
   * Convert embedded ICC profiles to sRGB. Default false: the numbers in the file are what the networks were trained
   * on. CMYK images use their profile either way, as they have no RGB numbers.
   */
  colorManagement?: boolean;
  signal?: AbortSignal | undefined;
}

/** Default of {@link DecodeOptions.maxPixels}. */
export const MAX_PIXELS = 100_000_000;

/** Default of {@link DecodeOptions.maxBytes}. */
export const MAX_BYTES = 512 * 1024 * 1024;

/** Narrows a value to a colour, or throws ERR_COLOR. */
export function checkRgb(value: unknown, name: string): Rgb {
  if (
    Array.isArray(value) &&
    value.length === 3 &&
    value.every((each) => Number.isInteger(each) && each >= 0 && each <= 255)
  ) {
    return value as unknown as Rgb;
  }
  throw invalidArgument('ERR_COLOR', name, 'three integers from 0 to 255', value);
}
