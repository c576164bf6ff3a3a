import { type Command, Option } from 'commander';
import { SHOWN_SCORE, shownThresholds, writeDetections } from '../bulk/detection-output';
import type { DetectedImage, DetectionModel } from '../models/detection-model';
import type { DetectionJson, DetectionResult } from '../models/detection-result';
import { CocoDetections, type CocoOutput, CocoPanoptic, imageIds } from './coco-output';
import { CliError } from './exit';
import { addImageRunOptions, type ImageRunFlags, runImages } from './image-run';
import { listImages } from './inputs';
import { addDetectorOptions, type DetectorFlags, detectorFrom } from './model-options';
import { integer, number } from './options';
import { print, seconds, table } from './output';
import { guardOutputs, type PlannedOutput, planOneOutput, planOutputs } from './outputs';

const DETECT_FORMATS = ['overlay', 'json', 'coco', 'masks', 'panoptic'] as const;
type DetectFormat = (typeof DETECT_FORMATS)[number];

interface DetectFlags extends DetectorFlags, ImageRunFlags {
  format: DetectFormat;
  score?: number;
  max?: number;
  iou?: number;
  batch: number;
  opacity?: number;
}

/** One image that went through, as --json prints it. */
interface Done {
  image: string;
  output: string;
  width: number;
  height: number;
  milliseconds: { decode: number; inference: number; total: number };
  detections: Omit<DetectionJson, 'mask'>[];
  /** Names of a panoptic map's segments. */
  segments?: string[];
}

/** Adds the verb `detect`. */
export function addDetect(program: Command): void {
  const command = program
    .command('detect')
    .description('Find objects in one or many images: boxes, masks, panoptic maps.')
    .argument('<images...>', 'image files, folders of images, and glob patterns')
    .requiredOption(
      '-o, --output <path>',
      'a file for one image, a folder for many (made where it is missing); one .json file with --format coco or panoptic',
    )
    .addOption(new Option('--format <format>', 'what to write').choices(DETECT_FORMATS).default('overlay'))
    .option(
      '--score <share>',
      `least score (default: ${SHOWN_SCORE} or the model's own, if greater; with --format coco and of panoptic models always its own)`,
      number(0, 1),
    )
    .option('--max <count>', "most detections of an image (default: the model's)", integer(1))
    .option(
      '--iou <share>',
      "overlap from which the better of two boxes stays (default: the model's)",
      number(0, 1),
    )
    .option('--batch <count>', 'images that go through the network together', integer(1, 1024), 1)
    .option('--opacity <share>', 'how strongly an overlay covers the image, 0 to 1', number(0, 1));
  addDetectorOptions(addImageRunOptions(command))
    .addHelpText(
      'after',
      `
Formats: overlay is the image with what was found drawn into it; json the detections of each image; coco one results
file for all images, as pycocotools reads it; masks a PNG of every object in a folder; panoptic a .json file and a folder
of PNGs beside it, in COCO's panoptic format. Image ids are the numbers that files are named by, or count from 1.

Examples:
  $ freqfusion detect photo.jpg -o detected.png
  $ freqfusion detect photos/ -o detected --checkpoint model.pth --score 0.5
  $ freqfusion detect val2017/ -o results.json --format coco --checkpoint model.pth --batch 2`,
    )
    .action(async (images: string[], flags: DetectFlags) => {
      process.exitCode = await detect(images, flags);
    });
}

async function detect(args: readonly string[], flags: DetectFlags): Promise<number> {
  const { format } = flags;
  const planned = await plan(args, flags);
  const coco = cocoOutput(planned, flags);
  return runImages<DetectionModel, DetectedImage, Done>({
    planned,
    flags,
    format,
    async load() {
      const model = await detectorFrom(flags);
      try {
        checkFormat(format, model);
        return model;
      } catch (error) {
        model.dispose();
        throw error;
      }
    },
    results: (model, images, signal) =>
      model.detectAll(images, {
        ...shownThresholds(flags, model, format !== 'coco'),
        signal,
        batch: flags.batch,
        continueOnError: flags.continueOnError ?? false,
        ...(flags.maxPixels === undefined ? {} : { maxPixels: flags.maxPixels }),
      }),
    async write({ image: decoded, result }, { image, output }) {
      await write(result!, decoded!, { image, output }, flags, coco);
      const { width, height, timing, panoptic } = result!;
      const detections = result!.toJSON().detections.map(({ mask: _, ...rest }) => rest);
      return {
        image,
        output,
        width,
        height,
        milliseconds: timing,
        detections,
        ...(panoptic && { segments: panoptic.segments.map(({ className }) => className) }),
      };
    },
    finish: async (model) => coco?.finish(model),
    abandon: async () => coco?.abandon(),
    lineOf,
    showOne,
  });
}

async function plan(args: readonly string[], { output, format }: DetectFlags): Promise<PlannedOutput[]> {
  const images = await listImages(args);
  if (format === 'coco') return planOneOutput(images, output, format);
  if (format !== 'panoptic') return planOutputs(images, output, format);
  planOneOutput(images, output, format);
  // COCO's own layout: the PNGs of results.json lie in the folder results.
  return guardOutputs(
    planOutputs({ ...images, open: true }, `${output.slice(0, -'.json'.length)}/`, 'labels'),
  );
}

function cocoOutput(
  planned: readonly PlannedOutput[],
  { output, format }: DetectFlags,
): CocoOutput | undefined {
  const ids = imageIds(planned.map(({ image }) => image));
  if (format === 'coco') return new CocoDetections(output, ids);
  return format === 'panoptic' ? new CocoPanoptic(output, ids) : undefined;
}

function checkFormat(format: DetectFormat, { info }: DetectionModel): void {
  const name = info.architecture ?? info.checkpoint;
  if (format === 'panoptic' && info.task !== 'panoptic-segmentation') {
    throw new CliError(`--format panoptic needs a panoptic model, and ${name} is for ${info.task}`);
  }
  if (format === 'masks' && info.task === 'object-detection') {
    throw new CliError(`--format masks needs a model with masks, and ${name} finds boxes alone`);
  }
}

async function write(
  result: DetectionResult,
  decoded: NonNullable<DetectedImage['image']>,
  { image, output }: PlannedOutput,
  { format, opacity }: DetectFlags,
  coco: CocoOutput | undefined,
): Promise<void> {
  if (format === 'coco' || format === 'panoptic') await coco!.add(image, result, output);
  else await writeDetections(result, decoded, { image, output }, { format, opacity });
}

/** What was found, in words: "3 person, 1 dog"; of a panoptic map, its segments. */
function summary({ detections, segments }: Done): string {
  const names = segments ?? detections.map(({ className }) => className);
  if (names.length === 0) return 'nothing found';
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const shown = sorted.slice(0, 4).map(([name, count]) => `${count} ${name}`);
  return sorted.length > 4 ? `${shown.join(', ')}, ...` : shown.join(', ');
}

function lineOf(done: Done): string {
  return `${done.image} -> ${done.output}  ${summary(done)}  ${seconds(done.milliseconds.total / 1000)}`;
}

function showOne(done: Done): void {
  const { image, output, width, height, milliseconds, detections } = done;
  print(`${image}: ${width} x ${height} pixels, ${summary(done)}`);
  const rows = detections.map(({ className, score, box }) => [
    `  ${className}`,
    score.toFixed(3),
    ...box.map((side) => side.toFixed(1)),
  ]);
  if (rows.length > 0) {
    const head = ['  class', 'score', 'x1', 'y1', 'x2', 'y2'];
    for (const line of table([head, ...rows], ['left', ...head.slice(1).map(() => 'right' as const)]))
      print(line);
  }
  print(
    `wrote ${output} (inference ${seconds(milliseconds.inference / 1000)}, with decoding ${seconds(milliseconds.total / 1000)})`,
  );
}
