import { type Rle, rleBox } from './run-lengths';

/** Steps along pixel edges, clockwise on the screen: right, down, left, up. */
const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

/**
 * The outer outlines of a mask's regions, along the edges of pixels, clockwise, the largest region first. Pixels that
 * touch at a corner alone are of different regions. Holes are left out.
 */
export function outlinesOf(rle: Rle): number[][] {
  const [left, top, width, height] = rleBox(rle);
  if (width === 0) return [];
  const edges = edgesOf(cropped(rle, left, top, width, height), width, height);
  const columns = width + 1;
  const found: { polygon: number[]; area: number }[] = [];
  for (let start = 0; start < edges.length; start++) {
    while (edges[start] !== 0) {
      const first = lowestDirection(edges[start]!);
      const polygon: number[] = [];
      let area = 0;
      let at = start;
      let direction = first;
      do {
        // The first edge stays until the walk is back, where it must be found again.
        if (at !== start || direction !== first) edges[at]! &= ~(1 << direction);
        const [dx, dy] = STEPS[direction]!;
        const [x, y] = [at % columns, Math.floor(at / columns)];
        // Twice the area under the outline; a hole is walked the other way round and comes out negative.
        area += x * dy - y * dx;
        at += dy * columns + dx;
        const next = nextDirection(edges[at]!, direction);
        if (next !== direction) polygon.push(left + x + dx, top + y + dy);
        direction = next;
      } while (at !== start || direction !== first);
      edges[start]! &= ~(1 << first);
      if (area > 0) found.push({ polygon, area });
    }
  }
  return found.sort((a, b) => b.area - a.area).map(({ polygon }) => polygon);
}

/** The mask within its box, row-major. */
function cropped(
  { size, counts }: Rle,
  left: number,
  top: number,
  width: number,
  height: number,
): Uint8Array {
  const rows = size[0];
  const mask = new Uint8Array(width * height);
  let position = 0;
  for (let run = 0; run < counts.length; run++) {
    const end = position + counts[run]!;
    for (; run % 2 === 1 && position < end; position++) {
      const x = Math.floor(position / rows);
      mask[(position - x * rows - top) * width + x - left] = 1;
    }
    position = end;
  }
  return mask;
}

/** For every corner of the pixel grid, a bit for each direction in which an edge leaves it, the mask on its right. */
function edgesOf(mask: Uint8Array, width: number, height: number): Uint8Array {
  const columns = width + 1;
  const edges = new Uint8Array(columns * (height + 1));
  const set = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (mask[y * width + x] === 0) continue;
      const corner = y * columns + x;
      if (!set(x, y - 1)) edges[corner]! |= 1;
      if (!set(x + 1, y)) edges[corner + 1]! |= 2;
      if (!set(x, y + 1)) edges[corner + columns + 1]! |= 4;
      if (!set(x - 1, y)) edges[corner + columns]! |= 8;
    }
  }
  return edges;
}

function lowestDirection(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}

/** Right, on, or left: where two outlines meet in a corner, right keeps to the pixel that is being walked around. */
function nextDirection(bits: number, direction: number): number {
  const right = (direction + 1) % 4;
  if ((bits & (1 << right)) !== 0) return right;
  return (bits & (1 << direction)) !== 0 ? direction : (direction + 3) % 4;
}
