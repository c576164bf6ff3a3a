import { type EvaluationReport, evaluateSegmentation } from '../evaluation/evaluate';
import { labelResults } from '../evaluation/label-results';
import { findPairs } from '../evaluation/pairs';
import type { EvalFlags } from './eval';
import { CliError, EXIT } from './exit';
import { interruptible } from './interrupt';
import { modelFrom } from './model-options';
import { percent, print, printJson, progressBar, seconds, table } from './output';

/** `eval --task semantic`: label maps of a model, or of a folder, against true ones. */
export async function evaluateSemantic(flags: EvalFlags): Promise<number> {
  if (flags.results !== undefined && (flags.labels === undefined || flags.classes === undefined)) {
    throw new CliError(
      'expected --labels and --classes beside --results: the true label PNGs and what they stand for',
    );
  }
  if (flags.results === undefined && flags.classes !== undefined) {
    throw new CliError('--classes belongs to --results; a model has its own');
  }
  const folder = flags.results ?? flags.images!;
  const found = await findPairs(folder, flags.labels ?? folder, { suffix: flags.suffix });
  const started = performance.now();
  const model = flags.results === undefined ? await modelFrom(flags) : undefined;
  const segmenter = model ?? labelResults(flags.classes!);
  const bar = progressBar(found.length, { enabled: flags.progress, unit: 'images' });
  const report = await interruptible((signal) =>
    evaluateSegmentation(segmenter, found, {
      signal,
      ignoreIndex: flags.ignoreIndex,
      reduceZeroLabel: flags.reduceZeroLabel ?? false,
      boundary: flags.boundary,
      onProgress: ({ done }) => bar.update(done),
    }),
  ).finally(() => {
    bar.stop();
    model?.dispose();
  });
  const total = (performance.now() - started) / 1000;
  if (flags.json === true) printJson({ task: 'semantic', ...report, seconds: total });
  else show(report, segmenter.classes, total);
  return EXIT.ok;
}

function show(report: EvaluationReport, classes: readonly string[], total: number): void {
  const { trimap, boundary } = report;
  const cell = (value: number | null | undefined) => (typeof value === 'number' ? percent(value) : '-');
  const columns = [
    { title: 'IoU', of: report.iou, mean: report.miou },
    { title: 'accuracy', of: report.accuracy, mean: report.meanAccuracy },
    ...(trimap === undefined ? [] : [{ title: 'near boundaries', of: trimap.iou, mean: trimap.miou }]),
    ...(boundary === undefined ? [] : [{ title: 'boundary IoU', of: boundary.iou, mean: boundary.miou }]),
  ];
  const rows = [
    ['class', ...columns.map(({ title }) => title)],
    ...classes.map((name) => [name, ...columns.map(({ of }) => cell(of[name]))]),
    ['mean', ...columns.map(({ mean }) => cell(mean))],
  ];
  for (const line of table(rows, ['left', ...columns.map(() => 'right' as const)])) print(line);
  print();
  print(`pixel accuracy ${percent(report.pixelAccuracy)}, ${report.images} images in ${seconds(total)}`);
}
