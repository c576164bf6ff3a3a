import sharp from 'sharp';
import { ImageError, invalidArgument } from '../errors';
import { sniffFormat } from './format';
import { type EncodedSource, type RawSource, readSource, throwIfAborted } from './source';
import {
  checkRgb,
  type DecodedImage,
  type DecodeOptions,
  type ImageFormat,
  type ImageInput,
  MAX_PIXELS,
  type Rgb,
} from './types';

const WHITE: Rgb = [255, 255, 255];

/**
 * Decodes an image to upright 8-bit RGB, off the event loop.
 *
 * JPEG, PNG, WebP, TIFF, GIF and AVIF; the first frame or page of those that hold several. The EXIF orientation is
 * applied, 16-bit samples keep their upper 8 bits, grey is repeated in all three channels, transparency is flattened
 * on `background`, and CMYK becomes sRGB. Gamma chunks and, by default, ICC profiles change nothing.
 *
 * Throws ERR_IMAGE_MISSING, ERR_IMAGE_READ (unreadable, damaged or cut short), ERR_IMAGE_FORMAT (no image, or of a
 * format that is not read), ERR_IMAGE_TOO_LARGE (before anything is decoded), ERR_ABORTED, and ERR_TYPE for anything
 * that is no image argument.
 */
export async function decodeImage(input: ImageInput, options: DecodeOptions = {}): Promise<DecodedImage> {
  const { maxPixels = MAX_PIXELS, background = WHITE, colorManagement = false, maxBytes, signal } = options;
  checkRgb(background, 'background');
  checkLimit('maxPixels', maxPixels);
  if (maxBytes !== undefined) checkLimit('maxBytes', maxBytes);
  if (isDecoded(input)) {
    checkPixels(input.width, input.height, maxPixels, 'the image');
    return input;
  }
  const source = await readSource(input, { maxBytes, signal });
  return source.kind === 'raw'
    ? decodeRaw(source, maxPixels, background)
    : decodeEncoded(source, { maxPixels, background, colorManagement, signal });
}

function isDecoded(input: ImageInput): input is DecodedImage {
  return (
    typeof input === 'object' &&
    input !== null &&
    (input as DecodedImage).channels === 3 &&
    typeof (input as DecodedImage).format === 'string' &&
    ArrayBuffer.isView((input as DecodedImage).data) &&
    (input as DecodedImage).data.length === (input as DecodedImage).width * (input as DecodedImage).height * 3
  );
}

function checkLimit(name: string, limit: number): void {
  if (typeof limit !== 'number' || Number.isNaN(limit) || limit < 1) {
    throw invalidArgument('ERR_RANGE', name, 'a number from 1', limit);
  }
}

function checkPixels(width: number, height: number, maxPixels: number, what: string): void {
  if (width * height <= maxPixels) return;
  throw new ImageError(
    'ERR_IMAGE_TOO_LARGE',
    `${what} has ${width} x ${height} = ${width * height} pixels, more than maxPixels, ${maxPixels}. Raise maxPixels if you trust it.`,
    { expected: `at most ${maxPixels} pixels`, actual: `${width} x ${height} pixels` },
  );
}

async function decodeRaw({ image }: RawSource, maxPixels: number, background: Rgb): Promise<DecodedImage> {
  const { data, width, height, channels } = image;
  checkPixels(width, height, maxPixels, 'the image');
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (channels === 3) return { data: bytes, width, height, channels, format: 'raw' };
  const pipeline = sharp(bytes, { raw: { width, height, channels }, limitInputPixels: false });
  return {
    data: await toRgb(pipeline, channels === 2 || channels === 4, background),
    width,
    height,
    channels: 3,
    format: 'raw',
  };
}

interface EncodedOptions {
  maxPixels: number;
  background: Rgb;
  colorManagement: boolean;
  signal: AbortSignal | undefined;
}

async function decodeEncoded(source: EncodedSource, options: EncodedOptions): Promise<DecodedImage> {
  const { maxPixels, background, colorManagement, signal } = options;
  const what = source.file ?? 'the image';
  const format = imageFormat(source.bytes, what);
  try {
    const base = { failOn: 'error', limitInputPixels: false, sequentialRead: true } as const;
    const { width, height, pageHeight, hasAlpha, space } = await sharp(source.bytes, base).metadata();
    checkPixels(width, pageHeight ?? height, maxPixels, what);
    throwIfAborted(signal);
    const pipeline = sharp(source.bytes, {
      ...base,
      ignoreIcc: !colorManagement && space !== 'cmyk',
    }).autoOrient();
    const { data, info } = await toRgbWithSize(pipeline, hasAlpha, background);
    throwIfAborted(signal);
    const decoded = { data, width: info.width, height: info.height, channels: 3, format } as const;
    return source.file === undefined ? decoded : { ...decoded, file: source.file };
  } catch (error) {
    if (!(error instanceof Error) || 'code' in error) throw error;
    const reason = error.message.replaceAll(/\s+/g, ' ').trim();
    throw new ImageError('ERR_IMAGE_READ', `${what} is damaged or cut short: ${reason}`, {
      expected: `a whole ${format.toUpperCase()} image`,
      actual: reason,
      cause: error,
    });
  }
}

/** The format of encoded bytes, or ERR_IMAGE_FORMAT. */
function imageFormat(bytes: Uint8Array, what: string): ImageFormat {
  const { format, other } = sniffFormat(bytes);
  if (format !== undefined) return format;
  const expected = 'a JPEG, PNG, WebP, TIFF, GIF or AVIF image';
  throw new ImageError('ERR_IMAGE_FORMAT', `expected ${expected} for ${what}, got ${other}`, {
    expected,
    actual: other,
  });
}

async function toRgb(pipeline: sharp.Sharp, hasAlpha: boolean, background: Rgb): Promise<Uint8Array> {
  return (await toRgbWithSize(pipeline, hasAlpha, background)).data;
}

function toRgbWithSize(pipeline: sharp.Sharp, hasAlpha: boolean, background: Rgb) {
  const [r, g, b] = background;
  // Flattening opaque images as well would cost a pass over them for nothing.
  const opaque = hasAlpha ? pipeline.flatten({ background: { r, g, b } }) : pipeline;
  return opaque.toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
}
