import type { SegmentInfo } from '../coco/panoptic-segments';
import { PanopticWriter } from '../coco/panoptic-writer';
import { evaluatePanopticFiles, type PanopticSource, pngFolder } from '../evaluation/panoptic-files';
import type { PanopticReport } from '../evaluation/panoptic-quality';
import {
  type EvaluatePanopticOptions,
  evaluatePanopticModel,
  type FoundPanoptic,
} from '../evaluation/panoptic-run';
import type { EvalFlags } from './eval';
import { EXIT } from './exit';
import { interruptible } from './interrupt';
import { detectorFrom } from './model-options';
import { points, print, printJson, progressBar, seconds, table } from './output';
import { guardSavedResults } from './saved-results';

/** `eval --task panoptic`: panoptic quality. */
export async function evaluatePanoptic(flags: EvalFlags): Promise<number> {
  const started = performance.now();
  const report = await interruptible((signal) => judge(flags, signal));
  const total = (performance.now() - started) / 1000;
  if (flags.json === true) printJson({ task: 'panoptic', ...report, seconds: total });
  else show(report, flags, total);
  return EXIT.ok;
}

async function judge(flags: EvalFlags, signal: AbortSignal): Promise<PanopticReport> {
  const truth = { file: flags.annotations!, folder: flags.truthPngs };
  guardSavedResults(flags, pngFolder(truth));
  let bar = progressBar(0);
  const options = {
    signal,
    limit: flags.limit,
    onProgress: ({ done, total }: { done: number; total: number }) => {
      if (done === 1) bar = progressBar(total, { enabled: flags.progress, unit: 'images' });
      bar.update(done);
    },
  };
  try {
    if (flags.results === undefined) return await segmentAndJudge(flags, truth, options);
    return await evaluatePanopticFiles(truth, { file: flags.results, folder: flags.resultPngs }, options);
  } finally {
    bar.stop();
  }
}

async function segmentAndJudge(
  flags: EvalFlags,
  truth: PanopticSource,
  options: EvaluatePanopticOptions,
): Promise<PanopticReport> {
  const model = await detectorFrom(flags);
  let writer: PanopticWriter | undefined;
  try {
    if (flags.saveResults !== undefined) writer = await PanopticWriter.open(flags.saveResults);
    const report = await evaluatePanopticModel(model, truth, flags.images!, {
      ...options,
      batch: flags.batch,
      onSegments: (image, { imageId, fileName }) => writer?.add(imageId, fileName, image, infosOf(image)),
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

function infosOf({ segments }: FoundPanoptic): SegmentInfo[] {
  return segments.map(({ id, categoryId, area, box, isThing }) => ({
    id,
    category_id: categoryId,
    area: area!,
    bbox: box,
    iscrowd: 0,
    isthing: isThing ? 1 : 0,
  }));
}

function show(report: PanopticReport, { perClass }: EvalFlags, total: number): void {
  const align = ['left', 'right', 'right', 'right', 'right', 'right', 'right'] as const;
  if (perClass === true) {
    const rows = report.perClass.map(({ name, pq, sq, rq, found, missed, wrong }) => [
      name,
      points(pq),
      points(sq),
      points(rq),
      ...[found, missed, wrong].map(String),
    ]);
    for (const line of table([['class', 'PQ', 'SQ', 'RQ', 'found', 'missed', 'wrong'], ...rows], align))
      print(line);
    print();
  }
  const rows = (['all', 'things', 'stuff'] as const).map((group) => {
    const { pq, sq, rq, classes } = report[group];
    return [group, points(pq), points(sq), points(rq), String(classes)];
  });
  for (const line of table([['', 'PQ', 'SQ', 'RQ', 'classes'], ...rows], align)) print(line);
  print();
  print(`${report.images} images in ${seconds(total)}`);
}
