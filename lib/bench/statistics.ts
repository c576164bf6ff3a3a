/** A series of measured times, in milliseconds. */
export interface Timing {
  median: number;
  min: number;
  runs: number;
}

/** The middle value; the mean of the two middle ones of an even number. Throws RangeError for none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('expected values to take the median of, got none');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median and least of measured times. */
export function timing(milliseconds: readonly number[]): Timing {
  return { median: median(milliseconds), min: Math.min(...milliseconds), runs: milliseconds.length };
}

/** A straight line through measured points. */
export interface LinearFit {
  /** Growth of y with x. */
  slope: number;
  /** y at x = 0. */
  intercept: number;
  /** (y - fit) / fit of every point. */
  residuals: number[];
  /** The greatest of them, without its sign. */
  worst: number;
}

/**
 * Fits y = intercept + slope * x so that the squared relative errors are least: over sizes from 64 to 4096 squared, an
 * ordinary fit would see the largest alone. Needs two different x and positive y; throws RangeError otherwise.
 */
export function linearFit(x: readonly number[], y: readonly number[]): LinearFit {
  if (x.length !== y.length || new Set(x).size < 2 || y.some((value) => !(value > 0))) {
    throw new RangeError('expected at least two different sizes with a positive measurement each');
  }
  let [s, sx, sy, sxx, sxy] = [0, 0, 0, 0, 0];
  for (let i = 0; i < x.length; i += 1) {
    const weight = 1 / (y[i]! * y[i]!);
    s += weight;
    sx += weight * x[i]!;
    sy += weight * y[i]!;
    sxx += weight * x[i]! * x[i]!;
    sxy += weight * x[i]! * y[i]!;
  }
  const slope = (s * sxy - sx * sy) / (s * sxx - sx * sx);
  const intercept = (sy - slope * sx) / s;
  const residuals = x.map((each, i) => y[i]! / (intercept + slope * each) - 1);
  return { slope, intercept, residuals, worst: Math.max(...residuals.map(Math.abs)) };
}
