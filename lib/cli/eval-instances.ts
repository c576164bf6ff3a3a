import { type InstanceAnnotations, readInstances } from '../coco/instances';
import type { CocoTask } from '../coco/results';
import { ResultsWriter } from '../coco/results-writer';
import { evaluateDetectionFiles } from '../evaluation/detection-files';
import type { ClassDetectionScores, DetectionReport } from '../evaluation/detection-report';
import { type EvaluateDetectorOptions, evaluateDetector } from '../evaluation/detector-run';
import type { EvalFlags } from './eval';
import { EXIT } from './exit';
import { interruptible } from './interrupt';
import { detectorFrom } from './model-options';
import { points, print, printJson, progressBar, seconds, table } from './output';
import { guardSavedResults } from './saved-results';

/** `eval --task bbox` and `--task segm`: COCO's average precision. */
export async function evaluateInstances(flags: EvalFlags): Promise<number> {
  const started = performance.now();
  const report = await interruptible((signal) => judge(flags, signal));
  const total = (performance.now() - started) / 1000;
  if (flags.json === true) printJson({ ...report, seconds: total });
  else show(report, flags, total);
  return EXIT.ok;
}

async function judge(flags: EvalFlags, signal: AbortSignal): Promise<DetectionReport> {
  const task = flags.task as CocoTask;
  guardSavedResults(flags);
  const truth = await readInstances(flags.annotations!, { masks: task === 'segm', signal });
  const imageIds = [...truth.images.keys()].slice(0, flags.limit);
  const bar = progressBar(imageIds.length, { enabled: flags.progress, unit: 'images' });
  const options = {
    task,
    imageIds,
    maxDetections: flags.maxDetections,
    useCategories: flags.anyClass !== true,
    signal,
    onProgress: ({ done }: { done: number }) => bar.update(done),
  };
  try {
    if (flags.results !== undefined) return await evaluateDetectionFiles(truth, flags.results, options);
    return await detectAndJudge(flags, truth, options);
  } finally {
    bar.stop();
  }
}

async function detectAndJudge(
  flags: EvalFlags,
  truth: InstanceAnnotations,
  options: EvaluateDetectorOptions,
): Promise<DetectionReport> {
  const model = await detectorFrom(flags);
  let writer: ResultsWriter | undefined;
  try {
    if (flags.saveResults !== undefined) writer = await ResultsWriter.open(flags.saveResults);
    const report = await evaluateDetector(model, truth, flags.images!, {
      ...options,
      batch: flags.batch,
      onResults: (results) => writer?.add(results),
    });
    await writer?.close();
    return report;
  } catch (error) {
    await writer?.abandon();
    throw error;
  } finally {
    model.dispose();
  }
}

const COLUMNS = ['AP', 'AP50', 'AP75', 'small', 'medium', 'large'] as const;

function show(report: DetectionReport, { perClass }: EvalFlags, total: number): void {
  const right = Array.from({ length: COLUMNS.length + 2 }, () => 'right' as const);
  if (perClass === true) {
    const rows = [
      ['class', ...COLUMNS, 'AR', 'objects'],
      ...report.classes.map((scores) => [
        scores.name,
        ...precisions(scores),
        points(scores.ar),
        String(scores.truths),
      ]),
    ];
    for (const line of table(rows, ['left', ...right])) print(line);
    print();
  }
  const recalls = Object.entries(report.ar);
  const rows = [
    [report.task, ...COLUMNS],
    ['average precision', ...precisions(report)],
    [],
    ['', ...recalls.map(([most]) => `AR@${most}`), 'small', 'medium', 'large'],
    [
      'average recall',
      ...recalls.map(([, value]) => points(value)),
      points(report.arSmall),
      points(report.arMedium),
      points(report.arLarge),
    ],
  ];
  for (const line of table(rows, ['left', ...right])) print(line);
  print();
  const { detections, truths, images } = report;
  print(`${detections} detections, ${truths} objects, ${images} images in ${seconds(total)}`);
}

function precisions(scores: Omit<ClassDetectionScores, 'id' | 'name' | 'ar' | 'truths'>): string[] {
  const { ap, ap50, ap75, apSmall, apMedium, apLarge } = scores;
  return [ap, ap50, ap75, apSmall, apMedium, apLarge].map(points);
}
