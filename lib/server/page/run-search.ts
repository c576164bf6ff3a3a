/** The index of the run that holds a position, where `ends` has the position after each run. -1 past the last. */
export function findRun(ends: Uint32Array, position: number): number {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ends[middle]! > position) high = middle;
    else low = middle + 1;
  }
  return low < ends.length ? low : -1;
}
