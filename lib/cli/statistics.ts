import type { StateDictEntry } from '../checkpoint/state-dict';
import { numbers } from '../golden/compare';
import { hostEntry } from '../golden/store';

/** What `inspect --tensor` says of a tensor's values. */
export interface TensorStatistics {
  elements: number;
  /** Least and greatest of the finite values; null where there are none. */
  min: number | null;
  max: number | null;
  mean: number | null;
  /** Of the whole population. */
  std: number | null;
  zeros: number;
  notFinite: number;
  /** The first eight values in C order. */
  first: number[];
}

/** Reads a tensor and sums its values up. */
export function statisticsOf(entry: StateDictEntry): TensorStatistics {
  const values = numbers(hostEntry(entry));
  const result: TensorStatistics = {
    elements: values.length,
    min: null,
    max: null,
    mean: null,
    std: null,
    zeros: 0,
    notFinite: 0,
    first: [],
  };
  let count = 0;
  let mean = 0;
  let spread = 0;
  for (let i = 0; i < values.length; i += 1) {
    const value = Number(values[i]);
    if (i < 8) result.first.push(value);
    if (!Number.isFinite(value)) {
      result.notFinite += 1;
      continue;
    }
    if (value === 0) result.zeros += 1;
    result.min = Math.min(result.min ?? value, value);
    result.max = Math.max(result.max ?? value, value);
    count += 1;
    const delta = value - mean;
    mean += delta / count;
    spread += delta * (value - mean);
  }
  if (count > 0) {
    result.mean = mean;
    result.std = Math.sqrt(spread / count);
  }
  return result;
}
