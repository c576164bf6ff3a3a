import { RUN_FORMATS, type RunModel, type RunOptions } from '../bulk/run-options';
import { submitRun } from '../bulk/submit';
import type { DType } from '../dtype';
import { CliError, EXIT } from './exit';
import { statOf } from './files';
import { listImages } from './inputs';
import { placeOf, type QueueFlags } from './jobs';
import type { DetectorFlags } from './model-options';
import { print, printJson, progressBar, remark } from './output';
import { makeFolders, type OutputFormat, type PlannedOutput, planOutputs } from './outputs';
import { type InferenceFlags, inferenceOf } from './segment';

/** Flags of `jobs submit`. */
export interface SubmitFlags
  extends QueueFlags,
    InferenceFlags,
    Pick<DetectorFlags, 'checkpoint' | 'architecture' | 'border' | 'ema'> {
  output: string;
  task: RunOptions['task'];
  format: OutputFormat;
  name?: string;
  opacity?: number;
  score?: number;
  max?: number;
  iou?: number;
  maxPixels?: number;
  dtype?: DType;
  nmfSeed?: number;
  attempts: number;
  /** Seconds. */
  backoff: number;
  continueOnError?: boolean;
  progress: boolean;
}

/** Runs `jobs submit`; resolves to the exit code. */
export async function submitImages(args: readonly string[], flags: SubmitFlags): Promise<number> {
  const options = runOptions(flags);
  const planned = planOutputs(await listImages(args), flags.output, flags.format);
  const { todo, barred } = sort(planned, flags);
  checkFiles(options);
  makeFolders(todo);
  const bar = progressBar(todo.length, { enabled: flags.progress, unit: 'images' });
  try {
    const submitted = await submitRun({
      ...placeOf(flags),
      jobs: todo,
      options,
      attempts: flags.attempts,
      backoff: Math.round(flags.backoff * 1000),
      ...(flags.name !== undefined && { run: flags.name }),
      onProgress: (progress) => bar.update(progress.submitted),
    });
    bar.stop();
    const { run, total, added, done, present } = submitted;
    if (flags.json === true) {
      printJson({ ...submitted, refused: barred.map(({ image, problem }) => ({ image, error: problem })) });
    } else {
      const rest = [done > 0 ? `${done} done already` : '', present > 0 ? `${present} there already` : ''];
      print(`${run}: ${[`${added} of ${total} images added`, ...rest.filter(Boolean)].join(', ')}`);
    }
  } finally {
    bar.stop();
  }
  return barred.length === 0 ? EXIT.ok : EXIT.failed;
}

function sort(planned: readonly PlannedOutput[], { continueOnError }: SubmitFlags) {
  const barred = planned.filter(({ problem }) => problem !== undefined);
  if (barred.length > 0 && continueOnError !== true) {
    throw new CliError(`${barred[0]!.image}: ${barred[0]!.problem}. Choose another -o, or rename the image`);
  }
  for (const { image, problem } of barred) remark(`error: ${image}: ${problem}`);
  return { todo: planned.filter(({ problem }) => problem === undefined), barred };
}

function runOptions(flags: SubmitFlags): RunOptions {
  const { task, format, opacity, maxPixels, score, max, iou, nmfSeed } = flags;
  const formats: readonly string[] = RUN_FORMATS[task];
  if (!formats.includes(format)) {
    throw new CliError(`--format ${format} is not one of ${formats.join(', ')}, which --task ${task} has`);
  }
  const inference = inferenceOf(flags);
  const others = task === 'segment' ? { score, max, iou } : { mode: inference, 'nmf-seed': nmfSeed };
  for (const [name, value] of Object.entries(others)) {
    if (value !== undefined) throw new CliError(`--${name} is no option of --task ${task}`);
  }
  const { checkpoint, architecture, border, ema, dtype } = flags;
  const model: RunModel = {
    ...(checkpoint !== undefined && { checkpoint }),
    ...(architecture !== undefined && { architecture }),
    ...(border !== undefined && { border }),
    ...(ema !== undefined && { ema }),
    ...(dtype !== undefined && { dtype }),
    ...(nmfSeed !== undefined && { nmfSeed }),
  };
  return {
    task,
    format,
    ...(Object.keys(model).length > 0 && { model }),
    ...(opacity !== undefined && { opacity }),
    ...(maxPixels !== undefined && { maxPixels }),
    ...(inference !== undefined && { inference }),
    ...(score !== undefined && { score }),
    ...(max !== undefined && { max }),
    ...(iou !== undefined && { iou }),
  } as RunOptions;
}

/** What every single job would fail of is said now. */
function checkFiles({ model }: RunOptions): void {
  const checkpoint = model?.checkpoint;
  if (checkpoint !== undefined && statOf(checkpoint) === undefined) {
    throw new CliError(`there is no file ${checkpoint}`, EXIT.input);
  }
}
