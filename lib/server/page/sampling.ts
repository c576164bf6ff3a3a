/** The source coordinate that each of `count` output pixels shows, of `size` source pixels: the one under its centre. */
export function samplePoints(count: number, size: number): Uint32Array {
  const points = new Uint32Array(count);
  for (let i = 0; i < count; i++) points[i] = Math.min(size - 1, Math.floor(((i + 0.5) * size) / count));
  return points;
}

/** Output pixels whose source coordinate lies in [from, to): [first, past the last]. */
export function pointsWithin(points: Uint32Array, from: number, to: number): [number, number] {
  let first = 0;
  while (first < points.length && points[first]! < from) first += 1;
  let past = first;
  while (past < points.length && points[past]! < to) past += 1;
  return [first, past];
}

/** The size to paint at: that of the image, or of the place where it is shown if that has fewer pixels. */
export function paintSize(
  image: { width: number; height: number },
  shown: { width: number; height: number },
): { width: number; height: number } {
  const scale = Math.min(1, shown.width / image.width, shown.height / image.height);
  return {
    width: Math.max(1, Math.round(image.width * scale)),
    height: Math.max(1, Math.round(image.height * scale)),
  };
}
