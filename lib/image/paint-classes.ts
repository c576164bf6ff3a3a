import { setImmediate } from 'node:timers/promises';
import type { LabelMap } from './labels';
import { throwIfAborted } from './source';
import type { DecodedImage, Rgb } from './types';

/** How the classes of a label map are painted over an image. */
export interface ClassPaint {
  /** Colours by label; black where there is none. */
  readonly palette: readonly Rgb[];
  /** 0 to 1. */
  readonly opacity: number;
  /** Width in pixels of the lines around classes; 0 for none. */
  readonly contours: number;
  /** Labels that are left unpainted. */
  readonly skipped: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
}

/** Pixels painted between two turns of the event loop: a few milliseconds of work. */
const SLICE = 1 << 18;

const BLACK: Rgb = [0, 0, 0];

/**
 * Paints a label map over an image of its size: every class translucent, and solid where another class lies within
 * `contours` pixels to the left, right, above or below. The event loop is let in between two slices.
 */
export async function paintClasses(
  image: DecodedImage,
  map: LabelMap,
  paint: ClassPaint,
): Promise<{ data: Uint8Array; width: number; height: number }> {
  const { width, height } = map;
  const data = new Uint8Array(image.data);
  const edges = new RowEdges(map, paint.contours);
  const mixtures = new Map<number, Uint8Array>();
  const rows = Math.max(1, Math.floor(SLICE / width));
  for (let from = 0; from < height; from += rows) {
    if (from > 0) await setImmediate();
    throwIfAborted(paint.signal);
    for (let y = from; y < Math.min(height, from + rows); y++) paintRow(data, map, y, edges, paint, mixtures);
  }
  return { data, width, height };
}

/** Goes along a row run by run: of a run all is the same but where it is near to another class. */
function paintRow(
  data: Uint8Array,
  { labels, width }: LabelMap,
  y: number,
  edges: RowEdges,
  { palette, opacity, contours, skipped }: ClassPaint,
  mixtures: Map<number, Uint8Array>,
): void {
  edges.moveTo(y);
  const { above, below } = edges;
  const row = y * width;
  for (let start = 0; start < width; ) {
    const label = labels[row + start]!;
    let end = start + 1;
    while (end < width && labels[row + end] === label) end++;
    if (!skipped.has(label)) {
      const color = palette[label] ?? BLACK;
      let mixed = mixtures.get(label);
      if (mixed === undefined) {
        mixed = mixturesOf(color, opacity);
        mixtures.set(label, mixed);
      }
      const [red, green, blue] = color;
      // What lies outside the image makes no edge.
      const leftEdge = start > 0 ? start + contours : 0;
      const rightEdge = end < width ? end - contours : width;
      for (let x = start, at = 3 * (row + start); x < end; x++, at += 3) {
        if (x < leftEdge || x >= rightEdge || above[x]! > y - contours || below[x]! > y) {
          data[at] = red;
          data[at + 1] = green;
          data[at + 2] = blue;
        } else {
          data[at] = mixed[data[at]!]!;
          data[at + 1] = mixed[256 + data[at + 1]!]!;
          data[at + 2] = mixed[512 + data[at + 2]!]!;
        }
      }
    }
    start = end;
  }
}

/** What each channel becomes under a colour, by what it was. */
function mixturesOf(color: Rgb, opacity: number): Uint8Array {
  return Uint8Array.from({ length: 768 }, (_, i) =>
    Math.round((i & 255) * (1 - opacity) + color[i >> 8]! * opacity),
  );
}

/** Where the classes of a column change, near to the row that is painted. */
class RowEdges {
  /** By column: the last row up to this one whose label is another than that of the row before. */
  readonly above: Int32Array;
  /** The same, of the rows down to `reach` below this one. */
  readonly below: Int32Array;
  readonly #map: LabelMap;
  readonly #reach: number;
  #seen = 0;

  constructor(map: LabelMap, reach: number) {
    this.#map = map;
    this.#reach = reach;
    // A row that is nowhere near: without contours, no row is.
    this.above = new Int32Array(map.width).fill(-reach - 1);
    this.below = new Int32Array(map.width).fill(-1);
  }

  /** Goes to the next row; rows are painted in order. */
  moveTo(y: number): void {
    if (this.#reach === 0) return;
    if (y > 0) this.#note(this.above, y);
    const last = Math.min(this.#map.height - 1, y + this.#reach);
    while (this.#seen < last) this.#note(this.below, ++this.#seen);
  }

  #note(changes: Int32Array, y: number): void {
    const { labels, width } = this.#map;
    const row = y * width;
    for (let x = 0; x < width; x++) if (labels[row + x] !== labels[row - width + x]) changes[x] = y;
  }
}
