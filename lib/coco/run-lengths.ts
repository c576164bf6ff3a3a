import { invalidArgument } from '../errors';

/**
 * A binary mask as run lengths: the numbers of pixels that are alternately 0 and 1, column by column, beginning with
 * zeros (a first run of 0 where the first pixel is set). They add up to height x width.
 */
export interface Rle {
  readonly size: readonly [height: number, width: number];
  readonly counts: Uint32Array;
}

/** A box in COCO's form: left edge, top edge, width, height. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number];

const MAX_PIXELS = 2 ** 31 - 1;

/** Narrows a mask's size, or throws ERR_RLE. */
export function checkMaskSize(height: unknown, width: unknown, name = 'size'): void {
  const side = (value: unknown) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  if (side(height) && side(width) && (height as number) * (width as number) <= MAX_PIXELS) return;
  throw invalidArgument('ERR_RLE', name, 'a height and a width with fewer than 2^31 pixels', [height, width]);
}

/** Run lengths of a mask, row-major [height, width]; every value but 0 counts as set. Throws ERR_RLE or ERR_SHAPE. */
export function encodeRle(mask: Uint8Array, height: number, width: number): Rle {
  checkMaskSize(height, width);
  if (mask.length !== height * width) {
    throw invalidArgument('ERR_SHAPE', 'mask', `${height} x ${width} values`, mask.length);
  }
  const counts: number[] = [];
  let set = false;
  let start = 0;
  for (let x = 0, position = 0; x < width; x++) {
    for (let y = 0, at = x; y < height; y++, at += width, position++) {
      if ((mask[at] !== 0) === set) continue;
      counts.push(position - start);
      start = position;
      set = !set;
    }
  }
  counts.push(height * width - start);
  return { size: [height, width], counts: Uint32Array.from(counts) };
}

/** The mask that run lengths stand for: 0 and 1, row-major [height, width]. */
export function decodeRle({ size: [height, width], counts }: Rle): Uint8Array {
  const mask = new Uint8Array(height * width);
  let position = 0;
  for (let run = 0; run < counts.length; run++) {
    const end = position + counts[run]!;
    if (run % 2 === 1) {
      let x = Math.floor(position / height);
      let y = position - x * height;
      for (; position < end; position++) {
        mask[y * width + x] = 1;
        y += 1;
        if (y === height) {
          y = 0;
          x += 1;
        }
      }
    }
    position = end;
  }
  return mask;
}

/** Number of pixels that are set. */
export function rleArea({ counts }: Rle): number {
  let area = 0;
  for (let run = 1; run < counts.length; run += 2) area += counts[run]!;
  return area;
}

/** The smallest box around the pixels that are set; [0, 0, 0, 0] where none is. */
export function rleBox({ size: [height], counts }: Rle): CocoBox {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  let position = 0;
  for (let run = 0; run < counts.length; run++) {
    const first = position;
    position += counts[run]!;
    if (run % 2 === 0 || position === first) continue;
    const from = Math.floor(first / height);
    const to = Math.floor((position - 1) / height);
    left = Math.min(left, from);
    right = to;
    // A run that goes on in the next column touches the bottom of one and the top of the other.
    top = from < to ? 0 : Math.min(top, first - from * height);
    bottom = from < to ? height - 1 : Math.max(bottom, position - 1 - to * height);
  }
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
}

/**
 * The union of masks of one size, or with `intersect` their intersection. Throws ERR_SHAPE for none, and for masks
 * of several sizes.
 */
export function mergeRles(rles: readonly Rle[], { intersect = false } = {}): Rle {
  const [first, ...others] = rles;
  if (first === undefined) throw invalidArgument('ERR_SHAPE', 'rles', 'at least one mask', rles);
  let { counts } = first;
  for (const other of others) {
    checkSameSize(first, other);
    counts = mergeTwo(counts, other.counts, intersect);
  }
  return { size: first.size, counts };
}

/** Throws ERR_SHAPE for masks of two sizes. */
export function checkSameSize(one: Rle, other: Rle): void {
  if (one.size[0] === other.size[0] && one.size[1] === other.size[1]) return;
  throw invalidArgument('ERR_SHAPE', 'rles', `masks of ${one.size.join(' x ')} pixels`, other.size);
}

function mergeTwo(a: Uint32Array, b: Uint32Array, intersect: boolean): Uint32Array {
  const counts: number[] = [];
  let [i, j] = [0, 0];
  let [endA, endB] = [a[0] ?? 0, b[0] ?? 0];
  let position = 0;
  let start = 0;
  let set = false;
  while (i < a.length && j < b.length) {
    const now = intersect ? i % 2 === 1 && j % 2 === 1 : i % 2 === 1 || j % 2 === 1;
    const end = Math.min(endA, endB);
    // Stretches of no length decide nothing.
    if (end > position && now !== set) {
      counts.push(position - start);
      start = position;
      set = now;
    }
    position = end;
    if (endA === end) endA += a[++i] ?? 0;
    if (endB === end) endB += b[++j] ?? 0;
  }
  counts.push(position - start);
  return Uint32Array.from(counts);
}
