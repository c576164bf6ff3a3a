import { evaluatePanopticFiles } from '../evaluation/panoptic-files';
import type { PanopticReport } from '../evaluation/panoptic-quality';
import type { EvalFlags } from './eval';
import { EXIT } from './exit';
import { interruptible } from './interrupt';
import { points, print, printJson, progressBar, seconds, table } from './output';

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
  let bar = progressBar(0);
  try {
    const truth = { file: flags.annotations!, folder: flags.truthPngs };
    return await evaluatePanopticFiles(
      truth,
      { file: flags.results!, folder: flags.resultPngs },
      {
        signal,
        onProgress: ({ done, total }) => {
          if (done === 1) bar = progressBar(total, { enabled: flags.progress, unit: 'images' });
          bar.update(done);
        },
      },
    );
  } finally {
    bar.stop();
  }
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
