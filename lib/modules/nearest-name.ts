/**
 * The candidate most like a name: one that ends in it (or it in the candidate) after a dot, or the one with the
 * smallest edit distance of at most a third of the name's length. Undefined where none is near.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.floor(name.length / 3) + 1;
  for (const candidate of candidates) {
    if (candidate.endsWith(`.${name}`) || name.endsWith(`.${candidate}`)) return candidate;
    const distance = editDistance(name, candidate, least);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Levenshtein distance, or `limit` where it is at least that: rows beyond the limit are not finished. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    let smallest = i;
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const distance = Math.min(row[j]! + 1, next[j - 1]! + 1, substituted);
      next.push(distance);
      if (distance < smallest) smallest = distance;
    }
    if (smallest >= limit) return limit;
    row = next;
  }
  return Math.min(row[b.length]!, limit);
}
