import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { CocoError, invalidArgument } from '../errors';
import { decodeImage } from '../image/decode';
import { pngHeader } from '../image/png-indices';
import { checkMaskSize } from './run-lengths';

/** The greatest id that three bytes hold. */
export const MAX_SEGMENT_ID = 2 ** 24 - 1;
/** Id of pixels that belong to no segment. */
export const VOID = 0;

/** Segment ids of an image, row-major [height, width]. */
export interface SegmentIds {
  readonly width: number;
  readonly height: number;
  readonly ids: Int32Array;
}

/**
 * Encodes segment ids as COCO's panoptic PNG: id = R + 256 G + 65536 B, 0 for pixels of no segment.
 * Throws ERR_SHAPE, and ERR_LABEL_VALUE for an id outside 0 to 16777215.
 */
export async function encodePanopticPng(
  ids: Int32Array | Uint32Array | Uint16Array,
  width: number,
  height: number,
): Promise<Buffer> {
  checkMaskSize(height, width);
  if (ids.length !== width * height) {
    throw invalidArgument('ERR_SHAPE', 'ids', `${width} x ${height} values`, ids.length);
  }
  const samples = new Uint8Array(3 * ids.length);
  for (let i = 0, at = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id < 0 || id > MAX_SEGMENT_ID) {
      throw invalidArgument('ERR_LABEL_VALUE', 'ids', `ids from 0 to ${MAX_SEGMENT_ID}`, id);
    }
    samples[at++] = id & 255;
    samples[at++] = (id >> 8) & 255;
    samples[at++] = id >> 16;
  }
  return sharp(samples, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .png({ palette: false })
    .toBuffer();
}

/**
 * Reads the segment ids of a panoptic PNG. Throws ERR_COCO_READ where there is no such file, ERR_PANOPTIC_PNG for
 * anything but an 8-bit colour PNG, and what {@link decodeImage} throws.
 */
export async function readPanopticPng(file: string, signal?: AbortSignal): Promise<SegmentIds> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new CocoError('ERR_COCO_READ', `${file} cannot be read: ${error.code}`, { cause: error });
  });
  const header = pngHeader(bytes);
  // Grey and 16-bit samples would be converted: what comes out is no longer what was stored.
  if (header === undefined || header.bitDepth > 8 || ![2, 3, 6].includes(header.colorType)) {
    const actual =
      header === undefined
        ? 'no PNG'
        : `a PNG of ${header.bitDepth} bits and colour type ${header.colorType}`;
    const expected = 'a colour PNG with 8 bits a channel';
    throw new CocoError('ERR_PANOPTIC_PNG', `expected ${expected} for ${file}, got ${actual}`, {
      expected,
      actual,
    });
  }
  const { data, width, height } = await decodeImage(bytes, { signal });
  const ids = new Int32Array(width * height);
  for (let i = 0, at = 0; i < ids.length; i++, at += 3) {
    ids[i] = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16);
  }
  return { width, height, ids };
}
