import { readdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  type FeatureSimilarity,
  featureSimilarity,
  type SimilaritySample,
} from '../analysis/feature-similarity';
import { CITYSCAPES_CLASSES, type LabelMapping } from '../analysis/label-map';
import { readFeatureMap } from '../analysis/npy';
import { similarityPlot } from '../analysis/plot';
import { checkWritable } from '../image/canvas';
import { readLabelMap } from '../image/labels';
import { CliError, EXIT } from './exit';
import { integer, parseSize } from './options';
import { percent, print, printJson, progressBar, remark, table } from './output';

interface SimilarityFlags {
  features: string[];
  labels: string;
  output?: string;
  json?: boolean;
  size: [number, number];
  edge: number;
  interpolation: 'bilinear' | 'nearest';
  channelClip?: number;
  labelMap: LabelMapping;
  classes: number;
  names?: string[];
  limit?: number;
  progress: boolean;
}

/** Adds the verb `similarity`. */
export function addSimilarity(program: Command): void {
  program
    .command('similarity')
    .description('Measure how well features separate classes: similarity within, between, and the margin.')
    .requiredOption(
      '--features <dir...>',
      'folder of .npy maps [C, H, W]; several are resized and concatenated',
    )
    .requiredOption('--labels <dir>', 'folder of label PNGs; files are matched with the maps by sorted order')
    .option('-o, --output <file>', 'write the result as a picture')
    .option('--json', 'print the result as JSON')
    .option('--size <HxW>', 'size that labels and features are brought to', parseSize, [256, 512])
    .option(
      '--edge <side>',
      'side of the box that widens class borders; 0 measures whole classes',
      integer(0, 255),
      5,
    )
    .addOption(
      new Option('--interpolation <mode>', 'how features are resized')
        .choices(['bilinear', 'nearest'])
        .default('bilinear'),
    )
    .option('--channel-clip <count>', 'keep the first channels of every map alone', integer(1))
    .addOption(
      new Option('--label-map <map>', 'cityscapes (labelIds), identity, or a list such as 7:0,8:1')
        .argParser(parseLabelMapping)
        .default('cityscapes'),
    )
    .option('--classes <count>', 'number of classes', integer(1, 255), 19)
    .option('--names <list>', 'class names, separated by commas', (value: string) =>
      value.split(',').map((name) => name.trim()),
    )
    .option('--limit <count>', 'use the first images alone', integer(1))
    .option('--no-progress', 'show no progress bar')
    .addHelpText(
      'after',
      `
Examples:
  $ freqfusion similarity --features out/fused --labels gtFine/val -o similarity.png
  $ freqfusion similarity --features stage2 stage3 --labels labels --label-map identity --classes 8 --json`,
    )
    .action(async (flags: SimilarityFlags) => {
      process.exitCode = await similarity(flags);
    });
}

async function similarity(flags: SimilarityFlags): Promise<number> {
  if (flags.output !== undefined) checkWritable(flags.output);
  const labels = await list(flags.labels, ['.png'], 'label PNGs');
  const layers = await Promise.all(flags.features.map((folder) => list(folder, ['.npy'], '.npy files')));
  for (const [index, files] of layers.entries()) {
    if (files.length !== labels.length && flags.limit === undefined) {
      throw new CliError(
        `${flags.features[index]} holds ${files.length} .npy files and ${flags.labels} ${labels.length} label PNGs: ` +
          'they must pair up in sorted order, or be limited with --limit',
        EXIT.input,
      );
    }
  }
  const count = Math.min(
    flags.limit ?? Number.POSITIVE_INFINITY,
    labels.length,
    ...layers.map((files) => files.length),
  );
  warnOfOddPairs(labels, layers[0]!, count);
  const bar = progressBar(count, { enabled: flags.progress, unit: 'images' });
  const result = await featureSimilarity(samples(labels, layers, count), {
    size: flags.size,
    edgeKernel: flags.edge,
    interpolation: flags.interpolation,
    labelMap: flags.labelMap,
    numClasses: flags.classes,
    ...(flags.channelClip === undefined ? {} : { channelClip: flags.channelClip }),
    onProgress: (done) => bar.update(done),
  }).finally(() => bar.stop());
  const names = flags.names ?? (flags.labelMap === 'cityscapes' ? [...CITYSCAPES_CLASSES] : []);
  if (flags.output !== undefined) await similarityPlot(result, { file: flags.output, names });
  if (flags.json === true)
    printJson({
      ...result,
      classes: result.classes.map((entry) => ({ ...entry, name: names[entry.label] ?? null })),
    });
  else show(result, names, flags.output);
  return EXIT.ok;
}

async function* samples(
  labels: string[],
  layers: string[][],
  count: number,
): AsyncGenerator<SimilaritySample> {
  for (let index = 0; index < count; index += 1) {
    const { width, height, labels: data } = await readLabelMap(labels[index]!);
    const features = await Promise.all(layers.map((files) => readFeatureMap(files[index]!)));
    yield { labels: { data, width, height }, features };
  }
}

async function list(folder: string, extensions: readonly string[], what: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      `cannot read the folder ${folder}: ${code === 'ENOENT' ? 'it does not exist' : code}`,
      EXIT.input,
      error,
    );
  }
  const files = names.filter((name) => extensions.includes(extname(name).toLowerCase())).sort();
  if (files.length === 0) throw new CliError(`${folder} holds no ${what}`, EXIT.input);
  return files.map((name) => join(folder, name));
}

/** Files pair up by sorted order, as in the reference: names that share no beginning deserve a second look. */
function warnOfOddPairs(labels: readonly string[], maps: readonly string[], count: number): void {
  for (let index = 0; index < count; index += 1) {
    const [label, map] = [basename(labels[index]!), basename(maps[index]!)];
    if (label[0] !== map[0]) {
      remark(`note: ${map} is measured with the labels of ${label}: files pair up by sorted order`);
      return;
    }
  }
}

function show(result: FeatureSimilarity, names: readonly string[], output: string | undefined): void {
  const figure = (value: number | null, digits = 3) =>
    value === null || Number.isNaN(value) ? '-' : value.toFixed(digits);
  const spread = (mean: number | null, std: number | null) =>
    mean === null ? '-' : `${figure(mean)} ± ${figure(std)}`;
  const rate = (value: number | null) => (value === null || Number.isNaN(value) ? '-' : percent(value));
  const rows = result.classes
    .filter((entry) => entry.intraMean !== null || entry.interMean !== null)
    .map((entry) => [
      names[entry.label] ?? `class ${entry.label}`,
      spread(entry.intraMean, entry.intraStd),
      spread(entry.interMean, entry.interStd),
      rate(entry.rightRate),
      String(entry.pixels),
    ]);
  rows.push([
    'all classes',
    spread(result.intraMean, result.intraStd),
    spread(result.interMean, result.interStd),
    rate(result.classRightRate),
    String(result.classes.reduce((sum, entry) => sum + entry.pixels, 0)),
  ]);
  const head = ['class', 'within', 'between', 'right', 'pixels'];
  for (const line of table([head, ...rows], ['left', 'right', 'right', 'right', 'right'])) print(line);
  print();
  print(
    `margin ${figure(result.margin)} (within minus between), right pixels ${rate(result.pixelRightRate)}, ${result.images} images`,
  );
  if (output !== undefined) print(`wrote ${output}`);
}

function parseLabelMapping(value: string): LabelMapping {
  if (value === 'cityscapes' || value === 'identity') return value;
  const entries = value.split(',').map((pair) => /^\s*(\d{1,3})\s*:\s*(\d{1,3})\s*$/.exec(pair));
  if (entries.some((entry) => entry === null || Number(entry[1]) > 255 || Number(entry[2]) > 255)) {
    throw new InvalidArgumentError(
      'Expected cityscapes, identity, or pairs of id:class from 0 to 255, such as 7:0,8:1.',
    );
  }
  return Object.fromEntries(entries.map((entry) => [Number(entry![1]), Number(entry![2])]));
}
