import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { ImageError } from '../errors';

const inflateAsync = promisify(inflate);

/** The stored samples of a greyscale or palette PNG: [height, width], never expanded through the palette. */
export interface PngIndices {
  readonly width: number;
  readonly height: number;
  readonly bitDepth: number;
  /** The colours that the indices stand for, where the file has a palette. */
  readonly palette?: readonly (readonly [number, number, number])[];
  readonly indices: Uint8Array | Uint16Array;
}

interface Header {
  readonly width: number;
  readonly height: number;
  readonly bitDepth: number;
  readonly colorType: number;
  readonly interlaced: boolean;
}

const GREY = 0;
const PALETTE = 3;
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  [GREY]: [1, 2, 4, 8, 16],
  [PALETTE]: [1, 2, 4, 8],
};

/** First column, first row, column step, row step of Adam7's passes. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** The header of a PNG, or undefined for anything else. */
export function pngHeader(bytes: Uint8Array): Header | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33 || view.getUint32(0) !== 0x89504e47 || view.getUint32(4) !== 0x0d0a1a0a)
    return undefined;
  if (view.getUint32(12) !== 0x49484452) return undefined;
  return {
    width: view.getUint32(16),
    height: view.getUint32(20),
    bitDepth: bytes[24]!,
    colorType: bytes[25]!,
    interlaced: bytes[28] === 1,
  };
}

/** Whether a PNG stores one sample a pixel, so that {@link readPngIndices} can give it. */
export function hasIndices(bytes: Uint8Array): boolean {
  const header = pngHeader(bytes);
  return header !== undefined && (DEPTHS[header.colorType]?.includes(header.bitDepth) ?? false);
}

/**
 * Reads the stored samples of a greyscale or palette PNG of any bit depth, interlaced or not. Image decoders expand
 * palettes to colours and stretch 1, 2 and 4 bits to the full range: for label maps both destroy the class indices.
 * Throws ERR_IMAGE_FORMAT for other PNGs, ERR_IMAGE_TOO_LARGE over maxPixels, ERR_IMAGE_READ for damaged ones.
 */
export async function readPngIndices(
  bytes: Uint8Array,
  maxPixels: number,
  what = 'the label map',
): Promise<PngIndices> {
  const header = pngHeader(bytes);
  if (header === undefined || !hasIndices(bytes)) {
    throw new ImageError('ERR_IMAGE_FORMAT', `expected a greyscale or palette PNG for ${what}`, {
      expected: 'a greyscale or palette PNG',
      actual: header === undefined ? 'no PNG' : `a PNG of colour type ${header.colorType}`,
    });
  }
  const { width, height, bitDepth } = header;
  if (width === 0 || height === 0) throw damaged(what, `its size is ${width} x ${height}`);
  if (width * height > maxPixels) {
    throw new ImageError(
      'ERR_IMAGE_TOO_LARGE',
      `${what} has ${width} x ${height} pixels, more than maxPixels, ${maxPixels}`,
      {
        expected: `at most ${maxPixels} pixels`,
        actual: `${width} x ${height} pixels`,
      },
    );
  }
  const { data, palette } = chunks(bytes, what);
  const passes = (header.interlaced ? PASSES : ([[0, 0, 1, 1]] as const)).map(([x, y, dx, dy]) => ({
    x,
    y,
    dx,
    dy,
    columns: Math.ceil((width - x) / dx),
    rows: Math.ceil((height - y) / dy),
  }));
  const stride = (columns: number) => 1 + Math.ceil((columns * bitDepth) / 8);
  const wanted = passes.reduce(
    (sum, { columns, rows }) => sum + (columns > 0 && rows > 0 ? rows * stride(columns) : 0),
    0,
  );
  const filtered = await inflateAll(data, wanted, what);

  const indices = bitDepth === 16 ? new Uint16Array(width * height) : new Uint8Array(width * height);
  let offset = 0;
  for (const { x, y, dx, dy, columns, rows } of passes) {
    if (columns <= 0 || rows <= 0) continue;
    const rowBytes = stride(columns);
    let above: Uint8Array | undefined;
    for (let row = 0; row < rows; row++) {
      const line = filtered.subarray(offset + 1, offset + rowBytes);
      unfilter(filtered[offset]!, line, above, bitDepth === 16 ? 2 : 1, what);
      unpack(line, bitDepth, columns, indices, (y + row * dy) * width + x, dx);
      above = line;
      offset += rowBytes;
    }
  }
  return {
    width,
    height,
    bitDepth,
    indices,
    ...(palette && header.colorType === PALETTE ? { palette } : {}),
  };
}

function damaged(what: string, reason: string, cause?: unknown): ImageError {
  return new ImageError('ERR_IMAGE_READ', `${what} is damaged or cut short: ${reason}`, {
    expected: 'a whole PNG',
    actual: reason,
    cause,
  });
}

function chunks(bytes: Uint8Array, what: string): { data: Uint8Array; palette?: [number, number, number][] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  let palette: [number, number, number][] | undefined;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (body.length !== length) throw damaged(what, `its ${kind} chunk ends early`);
    if (kind === 'IDAT') parts.push(body);
    if (kind === 'PLTE')
      palette = Array.from({ length: Math.floor(length / 3) }, (_, i) => [
        body[3 * i]!,
        body[3 * i + 1]!,
        body[3 * i + 2]!,
      ]);
    if (kind === 'IEND') break;
    at += 12 + length;
  }
  const data = Buffer.concat(parts);
  return palette === undefined ? { data } : { data, palette };
}

async function inflateAll(data: Uint8Array, wanted: number, what: string): Promise<Uint8Array> {
  try {
    // One byte over, so that a stream that goes on is refused without being unpacked further.
    const filtered = await inflateAsync(data, { maxOutputLength: wanted + 1 });
    if (filtered.length === wanted) return filtered;
    throw damaged(what, `it holds ${filtered.length} bytes of rows, not ${wanted}`);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw damaged(what, error instanceof Error ? error.message : String(error), error);
  }
}

/** Undoes one row's filter in place (PNG, section 9): samples are bytes, `step` bytes apart. */
function unfilter(
  kind: number,
  line: Uint8Array,
  above: Uint8Array | undefined,
  step: number,
  what: string,
): void {
  if (kind > 4) throw damaged(what, `row filter ${kind} does not exist`);
  if (kind === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i < step ? 0 : line[i - step]!;
    const up = above === undefined ? 0 : above[i]!;
    const corner = above === undefined || i < step ? 0 : above[i - step]!;
    const guess =
      kind === 1 ? left : kind === 2 ? up : kind === 3 ? (left + up) >> 1 : paeth(left, up, corner);
    line[i] = line[i]! + guess;
  }
}

function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

function unpack(
  line: Uint8Array,
  bitDepth: number,
  columns: number,
  out: Uint8Array | Uint16Array,
  start: number,
  step: number,
): void {
  if (bitDepth === 8) {
    for (let i = 0; i < columns; i++) out[start + i * step] = line[i]!;
  } else if (bitDepth === 16) {
    for (let i = 0; i < columns; i++) out[start + i * step] = (line[2 * i]! << 8) | line[2 * i + 1]!;
  } else {
    const perByte = 8 / bitDepth;
    const mask = (1 << bitDepth) - 1;
    for (let i = 0; i < columns; i++) {
      const shift = 8 - bitDepth * ((i % perByte) + 1);
      out[start + i * step] = (line[Math.floor(i / perByte)]! >> shift) & mask;
    }
  }
}
