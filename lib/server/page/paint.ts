import type { Rgb } from './answer.js';
import type { LabelRuns } from './label-runs.js';
import type { MaskRuns } from './mask-runs.js';
import { pointsWithin, samplePoints } from './sampling.js';
import { inSlices } from './slices.js';

/** RGBA pixels that are painted on. */
export interface Pixels {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** A mask to paint, with the box that bounds it. */
export interface PaintedMask {
  readonly mask: MaskRuns;
  readonly box: readonly [number, number, number, number];
  readonly color: Rgb;
}

/** Paints every pixel in the colour of its class; classes without one stay clear. False where `signal` fired. */
export function paintLabels(
  pixels: Pixels,
  labels: LabelRuns,
  colors: ReadonlyMap<number, Rgb>,
  signal: AbortSignal,
): Promise<boolean> {
  const columns = samplePoints(pixels.width, labels.width);
  const rows = samplePoints(pixels.height, labels.height);
  const row = new Uint16Array(pixels.width);
  return inSlices(
    pixels.height,
    (y) => {
      labels.row(rows[y]!, columns, row);
      let label = -1;
      let color: Rgb | undefined;
      for (let x = 0, at = y * pixels.width * 4; x < row.length; x++, at += 4) {
        if (row[x] !== label) {
          label = row[x]!;
          color = colors.get(label);
        }
        if (color !== undefined) put(pixels.data, at, color);
      }
    },
    signal,
  );
}

/** Paints masks one over the other, the last on top. False where `signal` fired. */
export function paintMasks(
  pixels: Pixels,
  image: { width: number; height: number },
  masks: readonly PaintedMask[],
  signal: AbortSignal,
): Promise<boolean> {
  const columns = samplePoints(pixels.width, image.width);
  const rows = samplePoints(pixels.height, image.height);
  return inSlices(
    masks.length,
    (index) => {
      const { mask, box, color } = masks[index]!;
      // A pixel around the box: masks are rounded to whole pixels, boxes are not.
      const [left, right] = pointsWithin(columns, Math.floor(box[0]) - 1, Math.ceil(box[2]) + 1);
      const [top, bottom] = pointsWithin(rows, Math.floor(box[1]) - 1, Math.ceil(box[3]) + 1);
      const within = rows.subarray(top, bottom);
      for (let x = left; x < right; x++) {
        mask.column(columns[x]!, within, (y) => put(pixels.data, ((top + y) * pixels.width + x) * 4, color));
      }
    },
    signal,
  );
}

function put(data: Uint8ClampedArray, at: number, [red, green, blue]: Rgb): void {
  data[at] = red;
  data[at + 1] = green;
  data[at + 2] = blue;
  data[at + 3] = 255;
}
