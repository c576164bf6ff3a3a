/** Longer side of the grid on which points are looked for. */
const GRID = 160;

/**
 * For every label a point deep inside its pixels, where a name can stand; undefined where the label has none. The map
 * is looked at on a coarse grid, so what is thinner than its cells may have no point.
 */
export function innerPoints(
  labels: Int32Array,
  width: number,
  height: number,
  count: number,
): ({ x: number; y: number } | undefined)[] {
  const step = Math.max(1, Math.ceil(Math.max(width, height) / GRID));
  const columns = Math.ceil(width / step);
  const rows = Math.ceil(height / step);
  const centre = (cell: number, side: number) => Math.min(side - 1, cell * step + (step >> 1));
  const grid = new Int32Array(columns * rows);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      grid[y * columns + x] = labels[centre(y, height) * width + centre(x, width)]!;
    }
  }
  const depth = depths(grid, columns, rows);
  const best: ({ x: number; y: number } | undefined)[] = new Array(count).fill(undefined);
  const deepest = new Float32Array(count);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const at = y * columns + x;
      const label = grid[at]!;
      if (depth[at]! <= deepest[label]!) continue;
      deepest[label] = depth[at]!;
      best[label] = { x: centre(x, width), y: centre(y, height) };
    }
  }
  return best;
}

/** Distance of every cell to the nearest of another label or to the border, by chamfers of 1 and 1.4. */
function depths(grid: Int32Array, columns: number, rows: number): Float32Array {
  const depth = new Float32Array(grid.length).fill(Infinity);
  const relax = (x: number, y: number, dx: number, dy: number) => {
    const [nx, ny] = [x + dx, y + dy];
    const at = y * columns + x;
    const step = dx !== 0 && dy !== 0 ? 1.4 : 1;
    const inside = nx >= 0 && ny >= 0 && nx < columns && ny < rows;
    const other = ny * columns + nx;
    const beyond = inside && grid[other] === grid[at] ? depth[other]! : 0;
    depth[at] = Math.min(depth[at]!, beyond + step);
  };
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      for (const [dx, dy] of [
        [-1, 0],
        [0, -1],
        [-1, -1],
        [1, -1],
      ] as const)
        relax(x, y, dx, dy);
    }
  }
  for (let y = rows - 1; y >= 0; y--) {
    for (let x = columns - 1; x >= 0; x--) {
      for (const [dx, dy] of [
        [1, 0],
        [0, 1],
        [1, 1],
        [-1, 1],
      ] as const)
        relax(x, y, dx, dy);
    }
  }
  return depth;
}
