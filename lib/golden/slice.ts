import { GoldenError } from './error';

/** One dimension of a slice: start, start + step, ... before stop. */
export interface SliceRange {
  start: number;
  stop: number;
  step: number;
}

/**
 * Reads Python's slice notation, as in ":, ::8, 2:10:2", against a shape. Dimensions that are not named are
 * taken whole; a plain index keeps its dimension with one element. Throws GoldenError where it does not fit.
 */
export function parseSlice(text: string, shape: readonly number[]): SliceRange[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.length > shape.length) {
    throw new GoldenError(`slice "${text}" has ${parts.length} dimensions, the output has ${shape.length}`);
  }
  return shape.map((side, dim) => {
    const part = parts[dim] ?? ':';
    const match = /^(?:(-?\d+)|(-?\d+)?:(-?\d+)?(?::(\d+)?)?)$/.exec(part);
    if (match === null) throw new GoldenError(`slice "${text}": cannot read "${part}"`);
    const [, index, from, to, by] = match;
    if (index !== undefined) {
      const at = clampIndex(Number(index), side);
      if (at >= side) throw new GoldenError(`slice "${text}": index ${index} is outside a side of ${side}`);
      return { start: at, stop: at + 1, step: 1 };
    }
    const step = by === undefined ? 1 : Number(by);
    if (step < 1) throw new GoldenError(`slice "${text}": a step must be 1 or more`);
    return {
      start: from === undefined ? 0 : clampIndex(Number(from), side),
      stop: to === undefined ? side : clampIndex(Number(to), side),
      step,
    };
  });
}

function clampIndex(index: number, side: number): number {
  return Math.min(Math.max(index < 0 ? index + side : index, 0), side);
}

/** The shape that a slice leaves. */
export function slicedShape(ranges: readonly SliceRange[]): number[] {
  return ranges.map(({ start, stop, step }) => Math.max(0, Math.ceil((stop - start) / step)));
}

/** Flat C-order indices, into an array of the given shape, of the elements that a slice takes. */
export function slicedIndices(ranges: readonly SliceRange[], shape: readonly number[]): Int32Array {
  const sides = slicedShape(ranges);
  let indices = Int32Array.of(0);
  for (let dim = 0; dim < shape.length; dim += 1) {
    const { start, step } = ranges[dim]!;
    const next = new Int32Array(indices.length * sides[dim]!);
    let at = 0;
    for (const base of indices) {
      for (let i = 0; i < sides[dim]!; i += 1) {
        next[at] = base * shape[dim]! + start + i * step;
        at += 1;
      }
    }
    indices = next;
  }
  return indices;
}
