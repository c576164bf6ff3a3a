import type { Command } from 'commander';
import { FreqFusionError } from '../errors';
import { CliError, EXIT, errorLine } from './exit';
import { interruptible } from './interrupt';
import { integer } from './options';
import { print, printJson, progressBar, remark, seconds } from './output';
import { makeFolders, type PlannedOutput } from './outputs';

/** Flags of every verb that goes through images and writes a result of each. */
export interface ImageRunFlags {
  output: string;
  maxPixels?: number;
  json?: boolean;
  continueOnError?: boolean;
  progress: boolean;
}

/** Adds --max-pixels, --json, --continue-on-error and --no-progress. */
export function addImageRunOptions(command: Command): Command {
  return command
    .option('--max-pixels <count>', 'refuse larger images', integer(1))
    .option('--json', 'print the result as JSON')
    .option('--continue-on-error', 'report images that fail and go on with the others')
    .option('--no-progress', 'show no progress bar');
}

/** An image that did not go through, as --json prints it. */
export interface Failed {
  image: string;
  code: string | undefined;
  error: string;
}

/** A model, as far as running and reporting it goes. */
interface RunModel {
  readonly classes: readonly string[];
  readonly info: {
    readonly architecture: string | undefined;
    readonly checkpoint: string;
    readonly device: string;
    readonly dtype: string;
  };
  dispose(): void;
}

/** What a verb does with images. */
export interface ImageRun<Model extends RunModel, Result extends { index: number; error?: unknown }, Done> {
  /** Every image with the file that its result goes to. */
  readonly planned: readonly PlannedOutput[];
  readonly flags: ImageRunFlags;
  readonly format: string;
  load(): Promise<Model>;
  /** Goes through the images in order; where the flags say so, an image that fails is a result with `error`. */
  results(model: Model, images: readonly string[], signal: AbortSignal): AsyncIterable<Result>;
  /** Writes one result, and gives what is said of it. `result` is one without `error`. */
  write(result: Result, planned: PlannedOutput, model: Model): Promise<Done>;
  /** Ends the run, before it is reported: for what is written once for all images. */
  finish?(model: Model): Promise<void>;
  /** Cleans up after a run that an error ended. */
  abandon?(): Promise<void>;
  /** Words a result in one line, among many. */
  lineOf(done: Done): string;
  /** Prints the result of the only image. */
  showOne(done: Done): void;
}

/** Goes through images with a model, writes their results and reports them; resolves to the exit code. */
export async function runImages<
  Model extends RunModel,
  Result extends { index: number; error?: unknown },
  Done,
>(run: ImageRun<Model, Result, Done>): Promise<number> {
  const { planned, flags } = run;
  const barred = planned.filter(({ problem }) => problem !== undefined);
  if (barred.length > 0 && flags.continueOnError !== true) {
    throw new CliError(`${barred[0]!.image}: ${barred[0]!.problem}. Choose another -o, or rename the image`);
  }
  const todo = planned.filter(({ problem }) => problem === undefined);
  const failed: Failed[] = barred.map(({ image, problem }) => ({ image, code: 'ERR_CLI', error: problem! }));
  for (const each of failed) remark(`error: ${each.image}: ${each.error}`);
  const started = performance.now();
  const model = await run.load();
  const done: Done[] = [];
  try {
    makeFolders(todo);
    await interruptible((signal) => goThrough(run, model, todo, { done, failed, signal }));
    await run.finish?.(model);
  } catch (error) {
    await run.abandon?.();
    throw error;
  } finally {
    model.dispose();
  }
  report(run, model, done, failed, (performance.now() - started) / 1000);
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

interface Progress<Done> {
  readonly done: Done[];
  readonly failed: Failed[];
  readonly signal: AbortSignal;
}

async function goThrough<Model extends RunModel, Result extends { index: number; error?: unknown }, Done>(
  run: ImageRun<Model, Result, Done>,
  model: Model,
  todo: readonly PlannedOutput[],
  { done, failed, signal }: Progress<Done>,
): Promise<void> {
  const { flags } = run;
  const bar = progressBar(todo.length, { enabled: flags.progress, unit: 'images' });
  // Lines between the frames of a progress bar would tear it: with one, they come at the end.
  const live = isLive(flags) && todo.length + failed.length > 1;
  const fail = (image: string, error: unknown) => {
    if (flags.continueOnError !== true || signal.aborted) throw error;
    const code = error instanceof FreqFusionError ? error.code : undefined;
    failed.push({ image, code, error: errorLine(error) });
    remark(`error: ${image}: ${errorLine(error)}`);
  };
  try {
    const images = todo.map(({ image }) => image);
    for await (const result of run.results(model, images, signal)) {
      const planned = todo[result.index]!;
      if (result.error !== undefined) fail(planned.image, result.error);
      else {
        try {
          const entry = await run.write(result, planned, model);
          done.push(entry);
          if (live) print(run.lineOf(entry));
        } catch (error) {
          fail(planned.image, error);
        }
      }
      bar.update(result.index + 1, planned.image);
    }
  } finally {
    bar.stop();
  }
}

function report<Model extends RunModel, Result extends { index: number }, Done>(
  { flags, format, lineOf, showOne }: ImageRun<Model, Result, Done>,
  { info, classes }: Model,
  done: readonly Done[],
  failed: readonly Failed[],
  total: number,
): void {
  if (flags.json === true) {
    const { architecture, checkpoint, device, dtype } = info;
    printJson({
      model: { architecture: architecture ?? null, checkpoint, device, dtype, classes },
      format,
      images: done,
      failed,
      seconds: total,
    });
    return;
  }
  if (done.length + failed.length === 1) {
    for (const each of done) showOne(each);
    return;
  }
  if (!isLive(flags)) for (const each of done) print(lineOf(each));
  const tail = failed.length === 0 ? '' : `, ${failed.length} failed`;
  print(`${done.length} image${done.length === 1 ? '' : 's'} in ${seconds(total)}${tail}`);
}

function isLive(flags: ImageRunFlags): boolean {
  return flags.json !== true && !(flags.progress && process.stderr.isTTY);
}
