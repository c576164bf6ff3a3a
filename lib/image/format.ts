import type { ImageFormat } from './types';

/** What the first bytes of a file say it is: a format that is read, or another one by name. */
export type Sniffed =
  | { readonly format: ImageFormat; readonly other?: undefined }
  | { readonly format?: undefined; readonly other: string };

interface Signature {
  readonly at: number;
  readonly bytes: readonly number[];
  readonly is: Sniffed;
}

const ascii = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));

const SIGNATURES: readonly Signature[] = [
  { at: 0, bytes: [0xff, 0xd8, 0xff], is: { format: 'jpeg' } },
  { at: 0, bytes: [0x89, ...ascii('PNG\r\n'), 0x1a, 0x0a], is: { format: 'png' } },
  { at: 8, bytes: ascii('WEBP'), is: { format: 'webp' } },
  { at: 0, bytes: [...ascii('II'), 42, 0], is: { format: 'tiff' } },
  { at: 0, bytes: [...ascii('MM'), 0, 42], is: { format: 'tiff' } },
  { at: 0, bytes: [...ascii('II'), 43, 0], is: { format: 'tiff' } },
  { at: 0, bytes: [...ascii('MM'), 0, 43], is: { format: 'tiff' } },
  { at: 0, bytes: ascii('GIF8'), is: { format: 'gif' } },
  { at: 0, bytes: ascii('BM'), is: { other: 'a BMP image' } },
  { at: 0, bytes: ascii('%PDF'), is: { other: 'a PDF document' } },
  { at: 0, bytes: [0xff, 0x0a], is: { other: 'a JPEG XL image' } },
  { at: 4, bytes: ascii('JXL '), is: { other: 'a JPEG XL image' } },
  { at: 4, bytes: ascii('jP  '), is: { other: 'a JPEG 2000 image' } },
  { at: 0, bytes: ascii('8BPS'), is: { other: 'a Photoshop document' } },
  { at: 0, bytes: ascii('<svg'), is: { other: 'an SVG drawing' } },
  { at: 0, bytes: ascii('<?xml'), is: { other: 'an XML document' } },
  { at: 0, bytes: ascii('PK'), is: { other: 'a zip archive' } },
];

/** Longest part of a file that {@link sniffFormat} looks at. */
const HEAD = 64;

/**
 * Tells an image's format from its first bytes. Only files that this names reach a decoder: libvips would also try
 * SVG, PDF and other formats that can refer to further files.
 */
export function sniffFormat(bytes: Uint8Array): Sniffed {
  if (bytes.length === 0) return { other: 'no bytes at all' };
  for (const { at, bytes: wanted, is } of SIGNATURES) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return is;
  }
  const head = Buffer.from(bytes.subarray(0, HEAD)).toString('latin1');
  if (head.slice(4, 8) === 'ftyp') {
    const brands = head.slice(8);
    if (/avi[fs]/.test(brands)) return { format: 'avif' };
    return {
      other: /hei[cxs]|hev[cx]|mif1/.test(brands) ? 'a HEIC image' : 'a video or another ISO media file',
    };
  }
  return { other: `bytes that start with ${Buffer.from(bytes.subarray(0, 8)).toString('hex')}` };
}
