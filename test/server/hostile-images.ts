import { deflateSync } from 'node:zlib';
import sharp from 'sharp';

/** Formats that are read. */
export const FORMATS = ['jpeg', 'png', 'webp', 'tiff', 'gif', 'avif'] as const;
export type Format = (typeof FORMATS)[number];

const [W, H] = [64, 48];

/** A small image of noise, which no format stores in a few bytes. */
export async function noiseImage(format: Format): Promise<Buffer> {
  const data = Uint8Array.from({ length: 3 * W * H }, (_, i) => Math.imul(i + 1, 2_654_435_761) >>> 24);
  return sharp(data, { raw: { width: W, height: H, channels: 3 } })
    [format]()
    .toBuffer();
}

/** An image of several frames, the first of them grey. */
export async function animated(format: 'gif' | 'webp'): Promise<Buffer> {
  const frames = await Promise.all(
    [128, 0, 255].map((grey) =>
      sharp({ create: { width: W, height: H, channels: 3, background: { r: grey, g: grey, b: grey } } })
        .png()
        .toBuffer(),
    ),
  );
  return sharp(frames, { join: { animated: true } })
    [format]({ loop: 0 })
    .toBuffer();
}

/** A PNG of these sizes, whose pixels are the inflated `pixels`, whatever their number. */
export function pngOf(width: number, height: number, pixels: Uint8Array, extra: Buffer[] = []): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  return Buffer.concat([
    Buffer.from([0x89, ...Buffer.from('PNG\r\n'), 0x1a, 0x0a]),
    chunk('IHDR', header),
    ...extra,
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A chunk of a PNG with its checksum. */
export function chunk(kind: string, body: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(kind, 'latin1'), body]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}

function crc32(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum & 1) === 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}

/** Small files whose headers claim 60000 x 60000 pixels (of WebP as many as it can have). */
export async function bomb(format: Format): Promise<Buffer> {
  const side = 60_000;
  if (format === 'png') return pngOf(side, side, new Uint8Array(100));
  const bytes = await noiseImage(format);
  if (format === 'jpeg') {
    const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
    bytes.writeUInt16BE(side, frame + 5);
    bytes.writeUInt16BE(side, frame + 7);
  } else if (format === 'webp') {
    const frame = bytes.indexOf('VP8 ');
    bytes.writeUInt16LE(16_383, frame + 14);
    bytes.writeUInt16LE(16_383, frame + 16);
  } else if (format === 'gif') {
    const frame = bytes.indexOf(Buffer.from([0x2c, 0, 0, 0, 0, W, 0, H, 0]));
    bytes.writeUInt16LE(side, frame + 5);
    bytes.writeUInt16LE(side, frame + 7);
  } else if (format === 'avif') {
    const box = bytes.indexOf('ispe');
    bytes.writeUInt32BE(side, box + 8);
    bytes.writeUInt32BE(side, box + 12);
  } else {
    growTiff(bytes, side);
  }
  return bytes;
}

const [TIFF_WIDTH, TIFF_HEIGHT] = [256, 257];

function growTiff(bytes: Buffer, side: number): void {
  if (bytes.toString('latin1', 0, 2) !== 'II')
    throw new Error('this machine writes TIFFs the other way round');
  const directory = bytes.readUInt32LE(4);
  for (let i = 0; i < bytes.readUInt16LE(directory); i++) {
    const entry = directory + 2 + 12 * i;
    const tag = bytes.readUInt16LE(entry);
    if (tag === TIFF_WIDTH || tag === TIFF_HEIGHT) {
      // As a 32-bit number, whatever it was.
      bytes.writeUInt16LE(4, entry + 2);
      bytes.writeUInt32LE(side, entry + 8);
    }
  }
}
