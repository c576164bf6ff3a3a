import { type InstanceAnnotations, readInstances } from '../coco/instances';
import { readResults } from '../coco/results';
import { throwIfAborted } from '../image/source';
import { DetectionEvaluator, type DetectionEvaluatorOptions } from './detection-evaluator';
import type { DetectionReport } from './detection-report';

/** Options of {@link evaluateDetectionFiles}. */
export interface DetectionFilesOptions extends DetectionEvaluatorOptions {
  onProgress?: (progress: { done: number; total: number }) => void;
  signal?: AbortSignal;
}

/** Images that are judged before other work has its turn. */
const STRETCH = 64;

/**
 * Scores a results file against an instances file, both in COCO's form. Throws what {@link readInstances} and
 * {@link readResults} throw.
 * @param truth the path of the instances file, or what was read from it (with masks for the task 'segm').
 */
export async function evaluateDetectionFiles(
  truth: string | InstanceAnnotations,
  results: string,
  { onProgress, signal, ...options }: DetectionFilesOptions = {},
): Promise<DetectionReport> {
  const { task = 'bbox' } = options;
  const reading = { masks: task === 'segm', ...(signal && { signal }) };
  const annotations = typeof truth === 'string' ? await readInstances(truth, reading) : truth;
  const evaluator = new DetectionEvaluator(annotations, options);
  const byImage = await readResults(results, annotations, task, signal);
  const total = evaluator.imageIds.length;
  for (const [index, imageId] of evaluator.imageIds.entries()) {
    if (index % STRETCH === 0) {
      await new Promise(setImmediate);
      throwIfAborted(signal);
    }
    evaluator.add(imageId, byImage.get(imageId) ?? []);
    byImage.delete(imageId);
    onProgress?.({ done: index + 1, total });
  }
  return evaluator.report();
}
