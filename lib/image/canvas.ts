import { extname } from 'node:path';
import sharp from 'sharp';
import { ImageError, invalidArgument } from '../errors';
import { layOut } from './glyphs';
import { writeBytes } from './labels';
import type { Rgb } from './types';

/** Stroke width of text, in units of a seventh of the cap height. */
const WEIGHT = 0.95;

/** An RGB picture in memory that rectangles and text can be drawn on. */
export class Canvas {
  readonly data: Uint8Array;

  constructor(
    readonly width: number,
    readonly height: number,
    ground: Rgb | Uint8Array,
  ) {
    if (ground instanceof Uint8Array) {
      this.data = new Uint8Array(ground);
      return;
    }
    this.data = new Uint8Array(width * height * 3);
    this.data.set(ground);
    // What is there is doubled until it fills the canvas.
    for (let done = 3; done < this.data.length; done *= 2) this.data.copyWithin(done, 0, done);
  }

  /** A canvas with a copy of a picture on it. */
  static of({ data, width, height }: { data: Uint8Array; width: number; height: number }): Canvas {
    return new Canvas(width, height, data);
  }

  /** Copies rows of another picture into this one, with their upper left corner at (x, y). */
  paste(pixels: Uint8Array, width: number, height: number, x: number, y: number): void {
    for (let row = 0; row < height; row++) {
      const line = pixels.subarray(row * width * 3, (row + 1) * width * 3);
      this.data.set(line, ((y + row) * this.width + x) * 3);
    }
  }

  /** Mixes a colour into one pixel; outside the canvas nothing happens. */
  blend(x: number, y: number, color: Rgb, share: number): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    const at = (y * this.width + x) * 3;
    for (let c = 0; c < 3; c++)
      this.data[at + c] = Math.round(this.data[at + c]! * (1 - share) + color[c]! * share);
  }

  /** A filled rectangle with rounded corners, its edges smooth; what lies outside the canvas costs nothing. */
  rectangle(left: number, top: number, width: number, height: number, radius: number, color: Rgb): void {
    const [halfWidth, halfHeight] = [width / 2 - radius, height / 2 - radius];
    const [endX, endY] = [Math.min(left + width, this.width), Math.min(top + height, this.height)];
    for (let y = Math.max(0, Math.floor(top)); y < endY; y++) {
      for (let x = Math.max(0, Math.floor(left)); x < endX; x++) {
        const dx = Math.max(0, Math.abs(x + 0.5 - left - width / 2) - halfWidth);
        const dy = Math.max(0, Math.abs(y + 0.5 - top - height / 2) - halfHeight);
        this.blend(x, y, color, clamp(radius + 0.5 - Math.hypot(dx, dy)));
      }
    }
  }

  /** The outline of a box, its line inside, with square corners and smooth edges. */
  frame([x1, y1, x2, y2]: readonly [number, number, number, number], lineWidth: number, color: Rgb): void {
    const [fromX, toX] = [Math.max(0, Math.floor(x1)), Math.min(this.width, Math.ceil(x2))];
    const [fromY, toY] = [Math.max(0, Math.floor(y1)), Math.min(this.height, Math.ceil(y2))];
    const reach = lineWidth + 1;
    for (let y = fromY; y < toY; y++) {
      const nearRow = y < y1 + reach || y > y2 - reach - 1;
      for (let x = fromX; x < toX; x++) {
        // Nothing is drawn in the middle: go on at the other side.
        if (!nearRow && x >= x1 + reach && x < x2 - reach - 1) x = Math.max(x, Math.ceil(x2 - reach - 1));
        const outer = covered(x, x1, x2) * covered(y, y1, y2);
        const inner = covered(x, x1 + lineWidth, x2 - lineWidth) * covered(y, y1 + lineWidth, y2 - lineWidth);
        if (outer > inner) this.blend(x, y, color, outer - inner);
      }
    }
  }

  /** Draws text with its capitals `capHeight` pixels high and their top at y. */
  text(text: string, left: number, top: number, capHeight: number, color: Rgb): void {
    const unit = capHeight / 7;
    const radius = Math.max(0.55, (WEIGHT * unit) / 2);
    const covered = new Map<number, number>();
    for (const line of layOut(text).strokes) {
      for (let i = 1; i < line.length; i++) {
        const [x0, y0] = line[i - 1]!;
        const [x1, y1] = line[i]!;
        this.#stroke(covered, left + x0 * unit, top + y0 * unit, left + x1 * unit, top + y1 * unit, radius);
      }
    }
    for (const [at, share] of covered) this.blend(at % this.width, Math.floor(at / this.width), color, share);
  }

  /** Collects by how much a round-ended stroke covers each pixel: its distance to the segment decides. */
  #stroke(
    covered: Map<number, number>,
    x0: number,
    y0: number,
    x1: number,
    y1: number,
    radius: number,
  ): void {
    const reach = radius + 1;
    const [fromX, toX] = [
      Math.max(0, Math.floor(Math.min(x0, x1) - reach)),
      Math.min(this.width - 1, Math.ceil(Math.max(x0, x1) + reach)),
    ];
    const [fromY, toY] = [
      Math.max(0, Math.floor(Math.min(y0, y1) - reach)),
      Math.min(this.height - 1, Math.ceil(Math.max(y0, y1) + reach)),
    ];
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length2 = dx * dx + dy * dy;
    for (let y = fromY; y <= toY; y++) {
      for (let x = fromX; x <= toX; x++) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const t = length2 === 0 ? 0 : clamp((px * dx + py * dy) / length2);
        const share = clamp(radius + 0.5 - Math.hypot(px - t * dx, py - t * dy));
        const at = y * this.width + x;
        if (share > (covered.get(at) ?? 0)) covered.set(at, share);
      }
    }
  }
}

/** Width in pixels of a line of text at a cap height. */
export function textWidth(text: string, capHeight: number): number {
  return (layOut(text).width * capHeight) / 7 + WEIGHT;
}

/** Characters of a name that are drawn at most, whatever room there is. */
const MOST_CHARACTERS = 60;

/** A text that is not wider than `room` pixels and has at most `most` characters, cut with three dots where it must be. */
export function fitText(
  text: string,
  capHeight: number,
  { room = Infinity, most = MOST_CHARACTERS }: { room?: number; most?: number } = {},
): string {
  // A character takes two units at most; the rest of a very long text is not looked at.
  const letters = [...text.slice(0, 2 * (most + 1))];
  const fits = (cut: string) => textWidth(cut, capHeight) <= room;
  if (letters.length <= most && fits(text)) return text;
  for (let kept = Math.min(letters.length, most - 3); kept >= 0; kept--) {
    const cut = `${letters.slice(0, kept).join('').trimEnd()}...`;
    if (fits(cut)) return cut;
  }
  return '';
}

/** How much of the pixel at a position lies between two edges. */
function covered(position: number, from: number, to: number): number {
  return clamp(Math.min(position + 1, to) - Math.max(position, from));
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** Formats that a picture can be written in, by file extension. */
export const WRITABLE_EXTENSIONS = [
  '.png',
  '.jpg',
  '.jpeg',
  '.webp',
  '.tif',
  '.tiff',
  '.avif',
  '.gif',
] as const;

/** Throws ERR_IMAGE_FORMAT for a file name whose extension is not in {@link WRITABLE_EXTENSIONS}. */
export function checkWritable(file: string): void {
  const extension = extname(file).toLowerCase();
  if ((WRITABLE_EXTENSIONS as readonly string[]).includes(extension)) return;
  throw invalidArgument(
    'ERR_IMAGE_FORMAT',
    'file',
    `a name ending in ${WRITABLE_EXTENSIONS.join(', ')}`,
    file,
  );
}

/**
 * Encodes RGB pixels and writes them to `file`, whose extension names the format; without one the result is a PNG in
 * memory alone. Throws ERR_IMAGE_FORMAT for an unknown extension and ERR_IMAGE_WRITE where the file cannot be written.
 */
export async function writePicture(
  picture: { data: Uint8Array; width: number; height: number },
  file?: string,
): Promise<Buffer> {
  if (file !== undefined) checkWritable(file);
  const { data, width, height } = picture;
  const pipeline = sharp(Buffer.from(data.buffer, data.byteOffset, data.byteLength), {
    raw: { width, height, channels: 3 },
    limitInputPixels: false,
  });
  let bytes: Buffer;
  try {
    bytes = await encode(pipeline, file === undefined ? '.png' : extname(file).toLowerCase()).toBuffer();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ImageError('ERR_IMAGE_WRITE', `the picture cannot be encoded: ${reason}`, {
      cause: error,
      actual: reason,
    });
  }
  if (file !== undefined) await writeBytes(file, bytes);
  return bytes;
}

function encode(pipeline: sharp.Sharp, extension: string): sharp.Sharp {
  switch (extension) {
    case '.jpg':
    case '.jpeg':
      return pipeline.jpeg({ quality: 92, chromaSubsampling: '4:4:4' });
    case '.webp':
      return pipeline.webp({ quality: 92 });
    case '.tif':
    case '.tiff':
      return pipeline.tiff({ compression: 'lzw' });
    case '.avif':
      return pipeline.avif();
    case '.gif':
      return pipeline.gif();
    default:
      return pipeline.png();
  }
}
