import type { Settings } from './answer.js';
import { bytes } from './words.js';

/** Bytes that {@link refusal} wants to see of a file. */
export const HEAD = 16;

interface Signature {
  readonly at: number;
  readonly text: string;
  /** What it is where it is no image that the server reads. */
  readonly other?: string;
}

const SIGNATURES: readonly Signature[] = [
  { at: 0, text: '\xff\xd8\xff' },
  { at: 0, text: '\x89PNG' },
  { at: 8, text: 'WEBP' },
  { at: 0, text: 'GIF8' },
  { at: 0, text: 'II' },
  { at: 0, text: 'MM' },
  { at: 4, text: 'ftypavi' },
  { at: 4, text: 'ftyphei', other: 'a HEIC photo' },
  { at: 4, text: 'ftypmif1', other: 'a HEIC photo' },
  { at: 0, text: '%PDF', other: 'a PDF document' },
  { at: 0, text: 'PK', other: 'a zip archive or an office document' },
  { at: 0, text: '<svg', other: 'an SVG drawing' },
  { at: 0, text: '8BPS', other: 'a Photoshop document' },
];

/** The image formats that the server reads, for people. */
export const FORMATS = 'JPEG, PNG, WebP, AVIF, GIF or TIFF';

/**
 * Why a file cannot be sent, as a sentence, or undefined where the server should decide. Refused is what is surely no
 * image or surely too large: a file that neither its bytes nor its type give away is sent.
 */
export function refusal(
  file: { readonly name: string; readonly type: string; readonly size: number },
  head: Uint8Array,
  { bodyLimit }: Pick<Settings, 'bodyLimit'>,
): string | undefined {
  if (file.size === 0) return `${file.name} is empty.`;
  const start = String.fromCharCode(...head);
  const signature = SIGNATURES.find(({ at, text }) => start.startsWith(text, at));
  if (signature?.other !== undefined) {
    return `${file.name} is ${signature.other}. Choose a ${FORMATS} image.`;
  }
  const typed = /^(text|audio|video|application)\//.test(file.type) && !/octet-stream/.test(file.type);
  if (signature === undefined && (typed || isText(head))) {
    return `${file.name} is not an image. Choose a ${FORMATS} image.`;
  }
  if (file.size > bodyLimit) {
    return `${file.name} has ${bytes(file.size)}. This server takes images of up to ${bytes(bodyLimit)}.`;
  }
  return undefined;
}

/** Why an image cannot be sent for its pixels, or undefined. */
export function pixelRefusal(
  name: string,
  { width, height }: { width: number; height: number },
  { maxPixels }: Pick<Settings, 'maxPixels'>,
): string | undefined {
  if (width * height <= maxPixels) return undefined;
  const million = (pixels: number) => `${(pixels / 1e6).toFixed(1).replace(/\.0$/, '')} million`;
  return `${name} is ${width} × ${height}, ${million(width * height)} pixels. This server takes up to ${million(maxPixels)}.`;
}

function isText(head: Uint8Array): boolean {
  return head.every((byte) => (byte >= 32 && byte < 127) || byte === 9 || byte === 10 || byte === 13);
}
