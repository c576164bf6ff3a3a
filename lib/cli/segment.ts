import { type Command, Option } from 'commander';
import { writeSegmentation } from '../bulk/segmentation-output';
import type { ClassArea } from '../models/segmentation-map';
import type { SegmentationModel, SegmentedImage } from '../models/segmentation-model';
import type { InferenceOptions } from '../modules/segnext';
import { CliError } from './exit';
import { addImageRunOptions, type ImageRunFlags, runImages } from './image-run';
import { listImages } from './inputs';
import { addModelOptions, type ModelFlags, modelFrom } from './model-options';
import { integer, number, parseSize } from './options';
import { percent, print, seconds, table } from './output';
import { planOutputs } from './outputs';

/** Flags that say how the image goes through the network. */
export interface InferenceFlags {
  mode?: 'whole' | 'slide';
  crop?: [number, number];
  stride?: [number, number];
}

interface SegmentFlags extends ModelFlags, ImageRunFlags, InferenceFlags {
  format: SegmentFormat;
  opacity?: number;
  batch: number;
}

const SEGMENT_FORMATS = ['overlay', 'labels', 'logits'] as const;
type SegmentFormat = (typeof SEGMENT_FORMATS)[number];

/** One image that went through, as --json prints it. */
interface Done {
  image: string;
  output: string;
  width: number;
  height: number;
  milliseconds: { decode: number; inference: number; total: number };
  areas: readonly ClassArea[];
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
    .addOption(new Option('--format <format>', 'what to write').choices(SEGMENT_FORMATS).default('overlay'))
    .option('--opacity <share>', 'how strongly an overlay covers the image, 0 to 1', number(0, 1))
    .option('--batch <count>', 'images that go through the network together', integer(1, 1024), 1);
  addModelOptions(addImageRunOptions(addInferenceOptions(command)))
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

/** Adds --mode, --crop and --stride. */
export function addInferenceOptions(command: Command): Command {
  return command
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
    .option('--stride <HxW>', 'step of --mode slide (default: two thirds of the window)', parseSize);
}

async function segment(args: readonly string[], flags: SegmentFlags): Promise<number> {
  const inference = inferenceOf(flags);
  const { format } = flags;
  return runImages<SegmentationModel, SegmentedImage, Done>({
    planned: planOutputs(await listImages(args), flags.output, format),
    flags,
    format,
    load: () => modelFrom(flags),
    results: (model, images, signal) =>
      model.segmentAll(images, {
        signal,
        batch: flags.batch,
        continueOnError: flags.continueOnError ?? false,
        outputs: format === 'logits' ? ['logits'] : [],
        ...(inference === undefined ? {} : { inference }),
        ...(flags.maxPixels === undefined ? {} : { maxPixels: flags.maxPixels }),
      }),
    async write(result, { image, output }) {
      using map = result.map!;
      await writeSegmentation(map, result.image!, output, flags);
      const { width, height, timing } = map;
      return { image, output, width, height, milliseconds: timing, areas: map.areas() };
    },
    lineOf,
    showOne,
  });
}

/** What --mode, --crop and --stride ask for; undefined: the model's own. Throws CliError. */
export function inferenceOf({ mode, crop, stride }: InferenceFlags): InferenceOptions | undefined {
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
