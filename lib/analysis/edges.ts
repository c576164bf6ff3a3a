import { VOID_LABEL } from './label-map';

/** Labels of the pixels along class borders, and of those away from them; 255 everywhere else. */
export interface EdgeLabels {
  edge: Uint8Array;
  interior: Uint8Array;
}

/**
 * Splits a label map by the borders between its classes: where the 4-neighbour Laplacian of the labels is not
 * zero (border mirrored without repeating the edge), widened by a kernel x kernel box; pixels within such a box
 * of a void pixel count as no border. With kernel 0 both parts are the labels themselves.
 */
export function splitEdges(labels: Uint8Array, height: number, width: number, kernel: number): EdgeLabels {
  if (kernel === 0) return { edge: labels, interior: labels };
  const border = dilate(laplacian(labels, height, width), height, width, kernel);
  const nearVoid = dilate(
    labels.map((label) => (label === VOID_LABEL ? 1 : 0)),
    height,
    width,
    kernel,
  );
  const edge = new Uint8Array(labels.length).fill(VOID_LABEL);
  const interior = Uint8Array.from(labels);
  for (let i = 0; i < labels.length; i += 1) {
    if (border[i] === 0 || nearVoid[i] !== 0) continue;
    edge[i] = labels[i]!;
    interior[i] = VOID_LABEL;
  }
  return { edge, interior };
}

/** 1 where the sum of the four neighbours differs from four times the pixel. */
function laplacian(labels: Uint8Array, height: number, width: number): Uint8Array {
  const marks = new Uint8Array(labels.length);
  for (let y = 0; y < height; y += 1) {
    const up = mirror(y - 1, height) * width;
    const down = mirror(y + 1, height) * width;
    for (let x = 0; x < width; x += 1) {
      const row = y * width;
      const sum =
        labels[up + x]! +
        labels[down + x]! +
        labels[row + mirror(x - 1, width)]! +
        labels[row + mirror(x + 1, width)]!;
      if (sum !== 4 * labels[row + x]!) marks[row + x] = 1;
    }
  }
  return marks;
}

function mirror(index: number, side: number): number {
  if (side === 1) return 0;
  if (index < 0) return -index;
  return index >= side ? 2 * (side - 1) - index : index;
}

/** Marks every pixel whose box holds a mark: the box is split into a pass along rows and one along columns. */
function dilate(marks: Uint8Array, height: number, width: number, kernel: number): Uint8Array {
  const across = widen(marks, { lines: height, lineStep: width, length: width, step: 1 }, kernel);
  return widen(across, { lines: width, lineStep: 1, length: height, step: width }, kernel);
}

interface Sweep {
  lines: number;
  lineStep: number;
  length: number;
  step: number;
}

function widen(marks: Uint8Array, { lines, lineStep, length, step }: Sweep, kernel: number): Uint8Array {
  const result = new Uint8Array(marks.length);
  const before = Math.floor(kernel / 2);
  const after = kernel - 1 - before;
  for (let line = 0; line < lines; line += 1) {
    const start = line * lineStep;
    // The number of marks in the window that slides along the line.
    let inside = 0;
    for (let i = 0; i < Math.min(after, length); i += 1) inside += marks[start + i * step]!;
    for (let i = 0; i < length; i += 1) {
      if (i + after < length) inside += marks[start + (i + after) * step]!;
      if (i - before - 1 >= 0) inside -= marks[start + (i - before - 1) * step]!;
      if (inside > 0) result[start + i * step] = 1;
    }
  }
  return result;
}
