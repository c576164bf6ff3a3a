import { readLabelMap } from '../image/labels';
import type { Segmenter } from './evaluate';

/**
 * Label maps that were computed before, in the place of a model: what it "segments" is the file of a label map. Each
 * image of a pair for `evaluateSegmentation` is then the path of the predicted labels.
 */
export function labelResults(classes: readonly string[]): Segmenter {
  return { classes, segment: (file, { signal } = {}) => readLabelMap(file, { signal }) };
}
