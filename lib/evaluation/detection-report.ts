import type { CocoTask } from '../coco/results';
import { AREA_NAMES } from './matching';
import type { PrecisionRecall } from './precision-recall';

/** COCO's numbers, 0 to 1; null where there is no object to find. */
export interface DetectionScores {
  /** Average precision over the IoU thresholds 0.5 to 0.95. */
  ap: number | null;
  ap50: number | null;
  ap75: number | null;
  /** Of objects up to 32 x 32, up to 96 x 96, and larger. */
  apSmall: number | null;
  apMedium: number | null;
  apLarge: number | null;
}

/** The scores of a class. */
export interface ClassDetectionScores extends DetectionScores {
  id: number;
  name: string;
  /** Average recall with the most detections. */
  ar: number | null;
  /** Objects that are to be found. */
  truths: number;
}

/** Result of {@link DetectionEvaluator.report}. */
export interface DetectionReport extends DetectionScores {
  task: CocoTask;
  /** Average recall by the number of detections of an image that count. */
  ar: Record<string, number | null>;
  arSmall: number | null;
  arMedium: number | null;
  arLarge: number | null;
  /** The twelve numbers in pycocotools' order; -1, as there, where there is no object to find. */
  stats: number[];
  images: number;
  truths: number;
  detections: number;
  /** By class; empty where classes were not told apart. */
  classes: ClassDetectionScores[];
}

/** What a report says beside the curves. */
export interface ReportContext {
  task: CocoTask;
  maxDetections: readonly [number, number, number];
  images: number;
  truths: number;
  detections: number;
  categories: readonly { readonly id: number; readonly name: string }[] | undefined;
  /** Objects to find, by class. */
  wanted: readonly number[];
}

type Area = (typeof AREA_NAMES)[number];

/** Threshold of AP50 and AP75 among the IoU thresholds. */
const [AT_50, AT_75] = [0, 5];

/** Averages precision and recall. */
export function reportOf(curves: PrecisionRecall, context: ReportContext): DetectionReport {
  const { maxDetections, categories, wanted, task, images, truths, detections } = context;
  // pycocotools takes its first number with 100 detections, the other five of precision with the most.
  const hundred = maxDetections.indexOf(100);
  const first = hundred < 0 ? 2 : hundred;
  const averages = new Averages(curves);
  const precisions = {
    ap: averages.precision({ max: first }),
    ap50: averages.precision({ threshold: AT_50 }),
    ap75: averages.precision({ threshold: AT_75 }),
    apSmall: averages.precision({ area: 'small' }),
    apMedium: averages.precision({ area: 'medium' }),
    apLarge: averages.precision({ area: 'large' }),
  };
  const recalls = maxDetections.map((_, max) => averages.recall({ max }));
  const areas = {
    arSmall: averages.recall({ area: 'small' }),
    arMedium: averages.recall({ area: 'medium' }),
    arLarge: averages.recall({ area: 'large' }),
  };
  const numbers = [...Object.values(precisions), ...recalls, ...Object.values(areas)];
  return {
    task,
    ...precisions,
    ar: Object.fromEntries(maxDetections.map((max, i) => [max, recalls[i]!])),
    ...areas,
    stats: numbers.map((value) => value ?? -1),
    images,
    truths,
    detections,
    classes: (categories ?? []).map(({ id, name }, k) => ({
      id,
      name,
      ap: averages.precision({ k, max: first }),
      ap50: averages.precision({ k, threshold: AT_50 }),
      ap75: averages.precision({ k, threshold: AT_75 }),
      apSmall: averages.precision({ k, area: 'small' }),
      apMedium: averages.precision({ k, area: 'medium' }),
      apLarge: averages.precision({ k, area: 'large' }),
      ar: averages.recall({ k }),
      truths: wanted[k]!,
    })),
  };
}

/** What is averaged over: all classes and thresholds unless one is named. */
interface Setting {
  k?: number;
  threshold?: number;
  area?: Area;
  max?: number;
}

class Averages {
  constructor(readonly curves: PrecisionRecall) {}

  precision(setting: Setting): number | null {
    return this.#mean(this.curves.precision, this.curves.shape[1], setting);
  }

  recall(setting: Setting): number | null {
    return this.#mean(this.curves.recall, 1, setting);
  }

  /** The mean of the values that are not -1. */
  #mean(
    values: Float64Array,
    levels: number,
    { k, threshold, area = 'all', max = 2 }: Setting,
  ): number | null {
    const [T, , K, A, M] = this.curves.shape;
    const a = AREA_NAMES.indexOf(area);
    let sum = 0;
    let count = 0;
    for (let t = threshold ?? 0; t < (threshold === undefined ? T : threshold + 1); t++) {
      for (let r = 0; r < levels; r++) {
        for (let c = k ?? 0; c < (k === undefined ? K : k + 1); c++) {
          const value = values[(((t * levels + r) * K + c) * A + a) * M + max]!;
          if (value < 0) continue;
          sum += value;
          count += 1;
        }
      }
    }
    return count === 0 ? null : sum / count;
  }
}
