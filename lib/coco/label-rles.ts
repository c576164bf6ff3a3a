import { checkMaskSize, type Rle } from './run-lengths';

/**
 * The masks of all classes of a label map, row-major [height, width], in one pass over it: for every label that it has,
 * in ascending order, the run lengths that `encodeRle` gives for its pixels. Throws ERR_RLE for a size that no mask has.
 */
export function labelRles(
  labels: ArrayLike<number>,
  height: number,
  width: number,
): { label: number; rle: Rle }[] {
  checkMaskSize(height, width);
  const masks = new Map<number, { counts: number[]; since: number }>();
  /** A run of the label's pixels begins or ends here. */
  const turn = (label: number, position: number) => {
    let mask = masks.get(label);
    if (mask === undefined) {
      mask = { counts: [], since: 0 };
      masks.set(label, mask);
    }
    mask.counts.push(position - mask.since);
    mask.since = position;
  };
  let current: number | undefined;
  for (let x = 0, position = 0; x < width; x++) {
    for (let y = 0, at = x; y < height; y++, at += width, position++) {
      const label = labels[at]!;
      if (label === current) continue;
      if (current !== undefined) turn(current, position);
      turn(label, position);
      current = label;
    }
  }
  for (const label of masks.keys()) turn(label, height * width);
  return [...masks]
    .sort(([a], [b]) => a - b)
    .map(([label, { counts }]) => ({
      label,
      rle: { size: [height, width], counts: Uint32Array.from(counts) },
    }));
}
