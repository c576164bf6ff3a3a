import { type Command, Option } from 'commander';
import { FreqFusionError } from '../errors';
import type { ClassArea, SegmentationMap } from '../models/segmentation-map';
import type { SegmentationModel, SegmentedImage } from '../models/segmentation-model';
import type { InferenceOptions } from '../modules/segnext';
import { CliError, EXIT, errorLine } from './exit';
import { listImages } from './inputs';
import { interruptible } from './interrupt';
import { addModelOptions, type ModelFlags, modelFrom } from './model-options';
import { integer, number, parseSize } from './options';
import { percent, print, printJson, progressBar, remark, seconds, table } from './output';
import { makeFolders, OUTPUT_FORMATS, type OutputFormat, type PlannedOutput, planOutputs } from './outputs';

interface SegmentFlags extends ModelFlags {
  output: string;
  format: OutputFormat;
  opacity?: number;
  mode?: 'whole' | 'slide';
  crop?: [number, number];
  stride?: [number, number];
  maxPixels?: number;
  json?: boolean;
  continueOnError?: boolean;
  progress: boolean;
}

/** One image that went through, as --json prints it. */
interface Done {
  image: string;
  output: string;
  width: number;
  height: number;
  milliseconds: { decode: number; inference: number; total: number };
  areas: readonly ClassArea[];
}

interface Failed {
  image: string;
  code: string | undefined;
  error: string;
}

/** Adds the verb `segment`. */
export function addSegment(program: Command): void {
  const command = program
    .command('segment')
    .description('Give every pixel of one or many images a class.')
    .argument('<images...>', 'image files, folders of images, and glob patterns')
    .requiredOption(
      '-o, --output <path>',
      'a file for one image, a folder for many (made where it is missing)',
    )
    .addOption(new Option('--format <format>', 'what to write').choices(OUTPUT_FORMATS).default('overlay'))
    .option('--opacity <share>', 'how strongly an overlay covers the image, 0 to 1', number(0, 1))
    .addOption(
      new Option('--mode <mode>', "whole image or sliding window (default: the model's)").choices([
        'whole',
        'slide',
      ]),
    )
    .option(
      '--crop <HxW>',
      'window of --mode slide, in pixels of the network input (default: 512)',
      parseSize,
    )
    .option('--stride <HxW>', 'step of --mode slide (default: two thirds of the window)', parseSize)
    .option('--max-pixels <count>', 'refuse larger images', integer(1))
    .option('--json', 'print the result as JSON')
    .option('--continue-on-error', 'report images that fail and go on with the others')
    .option('--no-progress', 'show no progress bar');
  addModelOptions(command)
    .addHelpText(
      'after',
      `
Formats: overlay is the image with its classes painted over it and a legend; labels an 8-bit PNG of class indices at the
image's own size; logits a safetensors file. Results in a folder are named as their images.

Examples:
  $ freqfusion segment page.png -o page-segmented.png
  $ freqfusion segment scans/ extra/*.jpg -o segmented --format labels --continue-on-error
  $ freqfusion segment street.jpg -o street.png --checkpoint model.pth --architecture segnext-tiny-freqfusion`,
    )
    .action(async (images: string[], flags: SegmentFlags) => {
      process.exitCode = await segment(images, flags);
    });
}

async function segment(args: readonly string[], flags: SegmentFlags): Promise<number> {
  const inference = inferenceOf(flags);
  const planned = planOutputs(await listImages(args), flags.output, flags.format);
  const barred = planned.filter(({ problem }) => problem !== undefined);
  if (barred.length > 0 && flags.continueOnError !== true) {
    throw new CliError(`${barred[0]!.image}: ${barred[0]!.problem}. Choose another -o, or rename the image`);
  }
  const todo = planned.filter(({ problem }) => problem === undefined);
  const failed: Failed[] = barred.map(({ image, problem }) => ({ image, code: 'ERR_CLI', error: problem! }));
  for (const each of failed) remark(`error: ${each.image}: ${each.error}`);
  const started = performance.now();
  const model = await modelFrom(flags);
  makeFolders(todo);
  const done = await interruptible((signal) => segmentAll(model, todo, failed, { flags, inference, signal }));
  report(model, flags, done, failed, (performance.now() - started) / 1000);
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

function inferenceOf({ mode, crop, stride }: SegmentFlags): InferenceOptions | undefined {
  if (mode !== 'slide') {
    if (crop !== undefined || stride !== undefined)
      throw new CliError('--crop and --stride need --mode slide');
    return mode === undefined ? undefined : { mode };
  }
  const window = crop ?? [512, 512];
  const step = stride ?? (window.map((side) => Math.max(1, Math.round((side * 2) / 3))) as [number, number]);
  if (step.some((side, i) => side > window[i]!)) {
    throw new CliError(`--stride ${step.join('x')} is larger than the window of ${window.join('x')}`);
  }
  return { mode, crop: window, stride: step };
}

interface Work {
  flags: SegmentFlags;
  inference: InferenceOptions | undefined;
  signal: AbortSignal;
}

async function segmentAll(
  model: SegmentationModel,
  todo: readonly PlannedOutput[],
  failed: Failed[],
  { flags, inference, signal }: Work,
): Promise<Done[]> {
  const done: Done[] = [];
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
    const results = model.segmentAll(
      todo.map(({ image }) => image),
      {
        signal,
        continueOnError: flags.continueOnError ?? false,
        outputs: flags.format === 'logits' ? ['logits'] : [],
        ...(inference === undefined ? {} : { inference }),
        ...(flags.maxPixels === undefined ? {} : { maxPixels: flags.maxPixels }),
      },
    );
    for await (const result of results) {
      const { image, output } = todo[result.index]!;
      if (result.map === undefined) fail(image, result.error);
      else {
        try {
          await write(result.map, result, output, flags);
          const { width, height, timing } = result.map;
          const entry: Done = {
            image,
            output,
            width,
            height,
            milliseconds: timing,
            areas: result.map.areas(),
          };
          done.push(entry);
          if (live) print(lineOf(entry));
        } catch (error) {
          fail(image, error);
        } finally {
          result.map.dispose();
        }
      }
      bar.update(result.index + 1, image);
    }
  } finally {
    bar.stop();
    model.dispose();
  }
  return done;
}

async function write(
  map: SegmentationMap,
  result: SegmentedImage,
  output: string,
  flags: SegmentFlags,
): Promise<void> {
  if (flags.format === 'labels') await map.toLabelPng(output);
  else if (flags.format === 'logits') await map.saveLogits(output);
  else {
    const captions = [
      `${map.width} x ${map.height} pixels`,
      `inference ${seconds(map.timing.inference / 1000)}`,
    ];
    await map.overlay(result.image!, output, {
      captions,
      ...(flags.opacity !== undefined && { opacity: flags.opacity }),
    });
  }
}

function report(
  model: SegmentationModel,
  flags: SegmentFlags,
  done: Done[],
  failed: Failed[],
  total: number,
): void {
  if (flags.json === true) {
    const { architecture, checkpoint, device, dtype } = model.info;
    printJson({
      model: { architecture: architecture ?? null, checkpoint, device, dtype, classes: model.classes },
      format: flags.format,
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

function isLive(flags: SegmentFlags): boolean {
  return flags.json !== true && !(flags.progress && process.stderr.isTTY);
}

function lineOf({ image, output, areas, milliseconds }: Done): string {
  const largest = areas.slice(0, 4).map(({ name, share }) => `${name} ${percent(share)}`);
  return `${image} -> ${output}  ${largest.join(', ')}  ${seconds(milliseconds.total / 1000)}`;
}

function showOne({ image, output, width, height, milliseconds, areas }: Done): void {
  print(`${image}: ${width} x ${height} pixels`);
  const rows = areas.map(({ name, share, pixels }) => [`  ${name}`, percent(share), `${pixels} pixels`]);
  for (const line of table(rows, ['left', 'right', 'right'])) print(line);
  print(
    `wrote ${output} (inference ${seconds(milliseconds.inference / 1000)}, with decoding ${seconds(milliseconds.total / 1000)})`,
  );
}
