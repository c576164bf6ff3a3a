import { type Command, InvalidArgumentError, Option } from 'commander';
import { evaluateInstances } from './eval-instances';
import { evaluatePanoptic } from './eval-panoptic';
import { evaluateSemantic } from './eval-semantic';
import { CliError } from './exit';
import { addModelOptions, type ModelFlags } from './model-options';
import { integer } from './options';

/** What is judged. */
export const EVAL_TASKS = ['bbox', 'segm', 'panoptic', 'semantic'] as const;
/** One of {@link EVAL_TASKS}. */
export type EvalTask = (typeof EVAL_TASKS)[number];

/** Options of `eval`. */
export interface EvalFlags extends ModelFlags {
  task: EvalTask;
  images?: string;
  annotations?: string;
  results?: string;
  truthPngs?: string;
  resultPngs?: string;
  maxDetections: [number, number, number];
  anyClass?: boolean;
  labels?: string;
  suffix: string;
  classes?: readonly string[];
  ignoreIndex: number;
  reduceZeroLabel?: boolean;
  boundary: number;
  limit?: number;
  batch: number;
  saveResults?: string;
  perClass?: boolean;
  json?: boolean;
  progress: boolean;
}

/** Options that belong to some tasks alone, by their names in {@link EvalFlags}. */
const OF_TASKS: Readonly<Partial<Record<keyof EvalFlags, readonly EvalTask[]>>> = {
  annotations: ['bbox', 'segm', 'panoptic'],
  truthPngs: ['panoptic'],
  resultPngs: ['panoptic'],
  maxDetections: ['bbox', 'segm'],
  anyClass: ['bbox', 'segm'],
  labels: ['semantic'],
  suffix: ['semantic'],
  classes: ['semantic'],
  ignoreIndex: ['semantic'],
  reduceZeroLabel: ['semantic'],
  boundary: ['semantic'],
  limit: ['bbox', 'segm', 'panoptic'],
  batch: ['bbox', 'segm', 'panoptic'],
  saveResults: ['bbox', 'segm', 'panoptic'],
  nmfSeed: ['semantic'],
};

/** Options of a model that runs, which has nothing to do where results are judged. */
const OF_IMAGES: readonly (keyof EvalFlags)[] = [
  'checkpoint',
  'architecture',
  'border',
  'ema',
  'cudaGraph',
  'device',
  'dtype',
  'threads',
  'nmfSeed',
  'batch',
  'saveResults',
];

/** Adds the verb `eval`; `evaluate` is another name of it. */
export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .alias('evaluate')
    .description(
      'Score a model, or results of one, against true annotations: COCO AP, panoptic quality, mean IoU.',
    )
    .argument('[images]', 'folder of images; another way to give --images')
    .addOption(new Option('--task <task>', 'what is judged').choices(EVAL_TASKS).default('semantic'))
    .option('--images <dir>', 'run a model over the images of this folder')
    .option('--results <path>', 'judge these results: a JSON file, or for semantic a folder of label PNGs')
    .option('--annotations <file>', 'instances or panoptic JSON in the form of COCO')
    .option(
      '--truth-pngs <dir>',
      'PNGs of panoptic annotations (default: the path of the JSON without .json)',
    )
    .option('--result-pngs <dir>', 'PNGs of panoptic results (default: the path of the JSON without .json)')
    .addOption(
      new Option('--max-detections <a,b,c>', 'numbers of detections of an image and class that count')
        .argParser(parseMaxDetections)
        .default([1, 10, 100], '1,10,100'),
    )
    .option('--any-class', 'let a detection match an object of any class')
    .option('--labels <dir>', 'folder of true label PNGs (default: beside the images)')
    .option('--suffix <text>', "what a label's name has after its image's name", '_label')
    .option('--classes <names>', 'names of the classes of --results, with commas between them', parseNames)
    .option('--ignore-index <label>', 'label of pixels that are not judged', integer(-1, 65535), 255)
    .option('--reduce-zero-label', 'label 0 is not judged and the others move down by one, as in ADE20K')
    .option(
      '--boundary <pixels>',
      'width of the band along boundaries; 0 leaves those scores out',
      integer(0, 1000),
      3,
    )
    .option('--limit <count>', 'judge the first images of the annotation file alone', integer(1))
    .option('--batch <count>', 'images that go through a detector together', integer(1, 1024), 1)
    .option(
      '--save-results <file>',
      'write what a detector finds as a results file, to be judged again by --results',
    )
    .option('--per-class', 'print the scores of every class')
    .option('--json', 'print the result as JSON')
    .option('--no-progress', 'show no progress bar');
  addModelOptions(command, 'the bundled model of the task')
    .addHelpText(
      'after',
      `
Examples:
  $ freqfusion eval --task bbox --annotations instances_val2017.json --results detections.json
  $ freqfusion eval --task panoptic --annotations panoptic_val2017.json --results predictions.json --json
  $ freqfusion eval --task segm --annotations instances_val2017.json --images val2017 --checkpoint mask_rcnn.pth
  $ freqfusion eval models/layout/val`,
    )
    .action(async (images: string | undefined, flags: EvalFlags) => {
      if (images !== undefined && flags.images !== undefined) {
        throw new CliError('the folder of images is given twice, as an argument and as --images');
      }
      if (images !== undefined) flags.images = images;
      checkFlags(command, flags);
      process.exitCode = await EVALUATORS[flags.task](flags);
    });
}

const EVALUATORS: Readonly<Record<EvalTask, (flags: EvalFlags) => Promise<number>>> = {
  bbox: evaluateInstances,
  segm: evaluateInstances,
  panoptic: evaluatePanoptic,
  semantic: evaluateSemantic,
};

/** Refuses options that the task has no use for: a forgotten --task is the likely reason. */
function checkFlags(command: Command, { task, images, results, annotations }: EvalFlags): void {
  const given = (name: string) => command.getOptionValueSource(name) === 'cli';
  const long = (name: string) => command.options.find((option) => option.attributeName() === name)!.long;
  for (const [name, tasks] of Object.entries(OF_TASKS)) {
    if (!given(name) || tasks.includes(task)) continue;
    throw new CliError(`${long(name)} belongs to --task ${tasks.join(' or ')}, got --task ${task}`);
  }
  if ((images === undefined) === (results === undefined)) {
    throw new CliError('expected either --images, to run a model, or --results, to judge what one has found');
  }
  const idle = results === undefined ? undefined : OF_IMAGES.find(given);
  if (idle !== undefined) {
    throw new CliError(`${long(idle)} belongs to --images: no model runs where --results are judged`);
  }
  if (images !== undefined && given('resultPngs')) {
    throw new CliError('--result-pngs belongs to --results: a model that runs needs none');
  }
  if (task !== 'semantic' && annotations === undefined) {
    throw new CliError(
      `expected --annotations for --task ${task}: the true ${task === 'panoptic' ? 'segments' : 'objects'}`,
    );
  }
}

function parseMaxDetections(value: string): [number, number, number] {
  const numbers = value.split(',').map(Number);
  const fits = numbers.length === 3 && numbers.every((each) => Number.isSafeInteger(each) && each > 0);
  if (!fits) throw new InvalidArgumentError('Expected three integers from 1, such as 1,10,100.');
  return numbers as [number, number, number];
}

function parseNames(value: string): string[] {
  const names = value.split(',').map((name) => name.trim());
  if (names.includes('') || new Set(names).size < names.length) {
    throw new InvalidArgumentError('Expected different names with commas between them.');
  }
  return names;
}
