/** A plane of features is resized as torch's interpolate does it. */
export type InterpolationMode = 'bilinear' | 'nearest';

/** Where each output index reads along one axis: two neighbours and the weight of the second. */
interface Axis {
  low: Int32Array;
  high: Int32Array;
  weight: Float32Array;
}

function bilinearAxis(source: number, target: number): Axis {
  const low = new Int32Array(target);
  const high = new Int32Array(target);
  const weight = new Float32Array(target);
  const scale = Math.fround(source / target);
  for (let i = 0; i < target; i += 1) {
    const at = Math.max(Math.fround(Math.fround(scale * (i + 0.5)) - 0.5), 0);
    const floor = Math.min(Math.floor(at), source - 1);
    low[i] = floor;
    high[i] = Math.min(floor + 1, source - 1);
    weight[i] = at - floor;
  }
  return { low, high, weight };
}

function nearestAxis(source: number, target: number): Axis {
  const scale = Math.fround(source / target);
  const low = Int32Array.from({ length: target }, (_, i) =>
    Math.min(Math.floor(Math.fround(i * scale)), source - 1),
  );
  return { low, high: low, weight: new Float32Array(target) };
}

/**
 * Makes a function that resizes one [height, width] plane into a buffer, with the positions worked out once:
 * bilinear with half-pixel centres (align_corners False), or nearest as floor(index * source / target).
 */
export function planeResizer(
  height: number,
  width: number,
  targetHeight: number,
  targetWidth: number,
  mode: InterpolationMode,
): (plane: Float32Array, offset: number, into: Float32Array) => void {
  const axis = mode === 'bilinear' ? bilinearAxis : nearestAxis;
  const rows = axis(height, targetHeight);
  const columns = axis(width, targetWidth);
  return (plane, offset, into) => {
    let at = 0;
    for (let y = 0; y < targetHeight; y += 1) {
      const upper = offset + rows.low[y]! * width;
      const lower = offset + rows.high[y]! * width;
      const v = rows.weight[y]!;
      for (let x = 0; x < targetWidth; x += 1) {
        const left = columns.low[x]!;
        const right = columns.high[x]!;
        const u = columns.weight[x]!;
        const above = plane[upper + left]! * (1 - u) + plane[upper + right]! * u;
        const below = plane[lower + left]! * (1 - u) + plane[lower + right]! * u;
        into[at] = above * (1 - v) + below * v;
        at += 1;
      }
    }
  };
}

/** Resizes labels by the nearest source pixel, floor(index * source / target) in double precision, as OpenCV does. */
export function resizeLabels(
  labels: ArrayLike<number>,
  height: number,
  width: number,
  targetHeight: number,
  targetWidth: number,
): Uint8Array {
  const rowScale = 1 / (targetHeight / height);
  const columnScale = 1 / (targetWidth / width);
  const columns = Int32Array.from({ length: targetWidth }, (_, x) =>
    Math.min(Math.floor(x * columnScale), width - 1),
  );
  const resized = new Uint8Array(targetHeight * targetWidth);
  for (let y = 0; y < targetHeight; y += 1) {
    const row = Math.min(Math.floor(y * rowScale), height - 1) * width;
    for (let x = 0; x < targetWidth; x += 1) resized[y * targetWidth + x] = labels[row + columns[x]!]!;
  }
  return resized;
}
