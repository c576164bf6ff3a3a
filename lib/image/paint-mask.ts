import { setImmediate } from 'node:timers/promises';
import type { Rle } from '../coco/rle';
import type { Canvas } from './canvas';
import { throwIfAborted } from './source';
import type { Rgb } from './types';

/** Columns that are painted at a time: run lengths go down the columns, pictures along the rows. */
const BAND = 64;

/** How a mask is painted. */
export interface MaskPaint {
  readonly color: Rgb;
  /** 0 to 1. */
  readonly opacity: number;
  /** Width in pixels of the line along the inside of its edge; 0 for none. */
  readonly contour: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a pixel of a band is: not of the mask, of it, or of it and near its edge in its column. */
const [OUTSIDE, INSIDE, EDGE] = [0, 1, 2];

/** Paints a mask over a picture of its size, with a line along its edge. The event loop is let in between two bands. */
export async function paintMask(canvas: Canvas, mask: Rle, paint: MaskPaint): Promise<void> {
  const [height, width] = mask.size;
  const columns = columnsOf(mask);
  const { contour } = paint;
  const stride = BAND + 2 * contour;
  const pixels = new Uint8Array(stride * height);
  for (let left = 0; left < width; left += BAND) {
    if (columns.offsets[left] === columns.offsets[Math.min(width, left + BAND)]) continue;
    throwIfAborted(paint.signal);
    const band: Band = { pixels, stride, left, margin: contour, width, height };
    const { top, bottom } = fillBand(band, columns);
    paintBand(canvas, band, top, bottom, paint);
    pixels.fill(OUTSIDE, top * stride, bottom * stride);
    await setImmediate();
  }
}

/** Some columns of a mask, row by row, with a margin at both sides. */
interface Band {
  readonly pixels: Uint8Array;
  readonly stride: number;
  /** First column without the margin. */
  readonly left: number;
  readonly margin: number;
  /** Size of the whole mask. */
  readonly width: number;
  readonly height: number;
}

function paintBand(
  { data }: Canvas,
  { pixels, stride, left, margin, width }: Band,
  top: number,
  bottom: number,
  { color: [red, green, blue], opacity }: MaskPaint,
): void {
  const [reds, greens, blues] = [red, green, blue].map((channel) => mixtures(channel, opacity)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const shown = Math.min(BAND, width - left);
  // What lies outside the image makes no edge.
  const [first, last] = [Math.max(0, margin - left), Math.min(stride, width - left + margin) - 1];
  for (let y = top; y < bottom; y++) {
    const row = y * stride;
    // Pixels outside the mask among those up to `margin` columns away.
    let outside = 0;
    for (let i = first; i < 2 * margin && i <= last; i++) outside += pixels[row + i] === OUTSIDE ? 1 : 0;
    for (let x = 0; x < shown; x++) {
      const entering = x + 2 * margin;
      if (entering >= first && entering <= last && pixels[row + entering] === OUTSIDE) outside += 1;
      const value = pixels[row + x + margin];
      if (value !== OUTSIDE) {
        const at = 3 * (y * width + left + x);
        const line = value === EDGE || outside > 0;
        data[at] = line ? red : reds[data[at]!]!;
        data[at + 1] = line ? green : greens[data[at + 1]!]!;
        data[at + 2] = line ? blue : blues[data[at + 2]!]!;
      }
      if (x >= first && x <= last && pixels[row + x] === OUTSIDE) outside -= 1;
    }
  }
}

/** What a channel becomes under a colour, by what it was. */
function mixtures(color: number, opacity: number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, value) => Math.round(value * (1 - opacity) + color * opacity));
}

interface Columns {
  /** Column x has the entries of `rows` from offsets[x] to offsets[x + 1]. */
  readonly offsets: Int32Array;
  /** First and last row, and so on. */
  readonly rows: readonly number[];
}

/** A mask's stretches of set pixels, column by column. */
function columnsOf({ size: [height, width], counts }: Rle): Columns {
  const offsets = new Int32Array(width + 1);
  const rows: number[] = [];
  let column = 0;
  let position = 0;
  for (let run = 0; run < counts.length; run++) {
    let left = counts[run]!;
    if (run % 2 === 0) {
      position += left;
      continue;
    }
    while (left > 0) {
      const x = Math.floor(position / height);
      while (column < x) offsets[++column] = rows.length;
      const y = position - x * height;
      const length = Math.min(left, height - y);
      rows.push(y, y + length);
      position += length;
      left -= length;
    }
  }
  while (column < width) offsets[++column] = rows.length;
  return { offsets, rows };
}

/** Sets a band's pixels; gives the rows that have any. */
function fillBand(
  { pixels, stride, left, margin, width, height }: Band,
  { offsets, rows }: Columns,
): { top: number; bottom: number } {
  let [top, bottom] = [Infinity, 0];
  for (let i = 0; i < stride; i++) {
    const x = left - margin + i;
    if (x < 0 || x >= width) continue;
    for (let entry = offsets[x]!; entry < offsets[x + 1]!; entry += 2) {
      const [from, to] = [rows[entry]!, rows[entry + 1]!];
      top = Math.min(top, from);
      bottom = Math.max(bottom, to);
      const [upper, lower] = [from > 0 ? from + margin : 0, to < height ? to - margin : height];
      for (let y = from; y < to; y++) pixels[y * stride + i] = y < upper || y >= lower ? EDGE : INSIDE;
    }
  }
  return { top: Math.min(top, bottom), bottom };
}
