import { invalidArgument } from '../errors';
import { type CocoBox, checkMaskSize, mergeRles, type Rle } from './run-lengths';

/** Outlines are traced on a grid this much finer than the pixels. */
const FINE = 5;
/** Of the fine steps of a pixel, the one over its centre. */
const CENTRE = (FINE - 1) / 2;

/**
 * Rasterises polygons, each [x1, y1, x2, y2, ...] in pixels, to the mask that pycocotools makes of them: a pixel is
 * set where its centre is inside; their union where there are several. Less than three points have nothing inside. Throws ERR_RLE for
 * lists that are no points.
 */
export function rleFromPolygons(
  polygons: readonly (readonly number[])[],
  height: number,
  width: number,
): Rle {
  if (!Array.isArray(polygons) || polygons.length === 0) {
    throw invalidArgument('ERR_RLE', 'polygons', 'a list with at least one polygon', polygons);
  }
  return mergeRles(polygons.map((polygon) => rleFromPolygon(polygon, height, width)));
}

/** The mask of a box. */
export function rleFromBox([x, y, w, h]: CocoBox, height: number, width: number): Rle {
  return rleFromPolygon([x, y, x, y + h, x + w, y + h, x + w, y], height, width);
}

/** {@link rleFromPolygons} for one polygon. */
export function rleFromPolygon(polygon: readonly number[], height: number, width: number): Rle {
  checkMaskSize(height, width);
  if (!Array.isArray(polygon) || polygon.length === 0 || polygon.length % 2 !== 0) {
    throw invalidArgument('ERR_RLE', 'polygon', 'points [x1, y1, x2, y2, ...]', polygon);
  }
  const far = polygon.find((value) => !(Math.abs(value) < 1e6));
  if (far !== undefined)
    throw invalidArgument('ERR_RLE', 'polygon', 'coordinates within a million pixels', far);
  return { size: [height, width], counts: runsBetween(crossings(polygon, height, width), height * width) };
}

/**
 * Where the outline passes the centre line of a column, as positions in the column-major mask: the first pixel below
 * the outline. There the mask changes between 0 and 1.
 */
function crossings(polygon: readonly number[], height: number, width: number): Uint32Array {
  const fine = polygon.map((value) => Math.trunc(FINE * value + 0.5));
  const found: number[] = [];
  let lastColumn: number | undefined;
  let lastRow = 0;
  const visit = (column: number, row: number) => {
    if (lastColumn !== undefined && column !== lastColumn) {
      const between = Math.min(column, lastColumn) - CENTRE;
      const x = between / FINE;
      if (between % FINE === 0 && x >= 0 && x < width) {
        const y = Math.ceil((Math.min(row, lastRow) - CENTRE) / FINE);
        found.push(x * height + Math.min(Math.max(y, 0), height));
      }
    }
    lastColumn = column;
    lastRow = row;
  };
  for (let i = 0; i < fine.length; i += 2) {
    const next = (i + 2) % fine.length;
    traceEdge(fine[i]!, fine[i + 1]!, fine[next]!, fine[next + 1]!, visit);
  }
  return Uint32Array.from(found).sort();
}

/** Visits the fine points of an edge from its start to its end, one a step along its longer side. */
function traceEdge(
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  visit: (x: number, y: number) => void,
): void {
  const [dx, dy] = [Math.abs(x2 - x1), Math.abs(y2 - y1)];
  const wide = dx >= dy;
  const steps = wide ? dx : dy;
  const [from, to] = wide ? [x1, x2] : [y1, y2];
  const backwards = from > to;
  // Always computed from the end with the lesser coordinate, so that both directions give the same points.
  const start = backwards ? to : from;
  const [base, rise] = wide
    ? backwards
      ? [y2, y1 - y2]
      : [y1, y2 - y1]
    : backwards
      ? [x2, x1 - x2]
      : [x1, x2 - x1];
  const slope = steps === 0 ? 0 : rise / steps;
  for (let step = 0; step <= steps; step++) {
    const along = backwards ? steps - step : step;
    const across = Math.trunc(base + slope * along + 0.5);
    if (wide) visit(start + along, across);
    else visit(across, start + along);
  }
}

/** Run lengths of a mask that changes at sorted positions; two changes at one place are none. */
function runsBetween(positions: Uint32Array, total: number): Uint32Array {
  const changes: number[] = [];
  for (const position of positions) {
    if (position >= total) break;
    if (changes[changes.length - 1] === position) changes.pop();
    else changes.push(position);
  }
  changes.push(total);
  return Uint32Array.from(changes, (position, i) => position - (i === 0 ? 0 : changes[i - 1]!));
}
