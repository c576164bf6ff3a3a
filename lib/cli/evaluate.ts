import type { Command } from 'commander';
import { type EvaluationReport, evaluateSegmentation } from '../evaluation/evaluate';
import { findPairs } from '../evaluation/pairs';
import { EXIT } from './exit';
import { interruptible } from './interrupt';
import { addModelOptions, type ModelFlags, modelFrom } from './model-options';
import { integer } from './options';
import { percent, print, printJson, progressBar, seconds, table } from './output';

interface EvaluateFlags extends ModelFlags {
  labels?: string;
  suffix: string;
  ignoreIndex: number;
  reduceZeroLabel?: boolean;
  boundary: number;
  json?: boolean;
  progress: boolean;
}

/** Adds the verb `evaluate`. */
export function addEvaluate(program: Command): void {
  const command = program
    .command('evaluate')
    .description(
      'Segment labelled images and score the result: mean IoU, accuracy, and both along boundaries.',
    )
    .argument('<images>', 'folder of images')
    .option('--labels <dir>', 'folder of label PNGs (default: beside the images)')
    .option('--suffix <text>', "what a label's name has after its image's name", '_label')
    .option('--ignore-index <label>', 'label of pixels that are not judged', integer(-1, 65535), 255)
    .option('--reduce-zero-label', 'label 0 is not judged and the others move down by one, as in ADE20K')
    .option(
      '--boundary <pixels>',
      'width of the band along boundaries; 0 leaves those scores out',
      integer(0, 1000),
      3,
    )
    .option('--json', 'print the result as JSON')
    .option('--no-progress', 'show no progress bar');
  addModelOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ freqfusion evaluate models/layout/val
  $ freqfusion evaluate images --labels annotations --checkpoint model.pth --reduce-zero-label --json`,
    )
    .action(async (images: string, flags: EvaluateFlags) => {
      process.exitCode = await evaluate(images, flags);
    });
}

async function evaluate(images: string, flags: EvaluateFlags): Promise<number> {
  const found = await findPairs(images, flags.labels ?? images, { suffix: flags.suffix });
  const started = performance.now();
  const model = await modelFrom(flags);
  const bar = progressBar(found.length, { enabled: flags.progress, unit: 'images' });
  const report = await interruptible((signal) =>
    evaluateSegmentation(model, found, {
      signal,
      ignoreIndex: flags.ignoreIndex,
      reduceZeroLabel: flags.reduceZeroLabel ?? false,
      boundary: flags.boundary,
      onProgress: ({ done }) => bar.update(done),
    }),
  ).finally(() => {
    bar.stop();
    model.dispose();
  });
  const total = (performance.now() - started) / 1000;
  if (flags.json === true) printJson({ ...report, seconds: total });
  else show(report, model.classes, total);
  return EXIT.ok;
}

function show(report: EvaluationReport, classes: readonly string[], total: number): void {
  const { trimap, boundary } = report;
  const cell = (value: number | null | undefined) => (typeof value === 'number' ? percent(value) : '-');
  const columns = [
    { title: 'IoU', iou: report.iou, mean: report.miou },
    ...(trimap === undefined ? [] : [{ title: 'near boundaries', iou: trimap.iou, mean: trimap.miou }]),
    ...(boundary === undefined ? [] : [{ title: 'boundary IoU', iou: boundary.iou, mean: boundary.miou }]),
  ];
  const rows = [
    ['class', ...columns.map(({ title }) => title)],
    ...classes.map((name) => [name, ...columns.map(({ iou }) => cell(iou[name]))]),
    ['mean', ...columns.map(({ mean }) => cell(mean))],
  ];
  for (const line of table(rows, ['left', ...columns.map(() => 'right' as const)])) print(line);
  print();
  print(`pixel accuracy ${percent(report.pixelAccuracy)}, ${report.images} images in ${seconds(total)}`);
}
