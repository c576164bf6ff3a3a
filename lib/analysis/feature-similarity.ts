import { invalidArgument } from '../errors';
import { splitEdges } from './edges';
import { type LabelMapping, labelTable, VOID_LABEL } from './label-map';
import { type InterpolationMode, planeResizer, resizeLabels } from './resize';

/** A map of features of one image: [channels, height, width] in C order. */
export interface FeatureMap {
  data: Float32Array;
  channels: number;
  height: number;
  width: number;
}

/** A label image: [height, width] bytes in C order. */
export interface LabelImage {
  data: ArrayLike<number>;
  height: number;
  width: number;
}

/** One image: its labels, and one map of features or several that are resized and concatenated over channels. */
export interface SimilaritySample {
  labels: LabelImage;
  features: FeatureMap | readonly FeatureMap[];
}

/** Options of {@link featureSimilarity}. */
export interface FeatureSimilarityOptions {
  /** Size [height, width] to which labels and features are brought. Default [256, 512]. */
  size?: readonly [height: number, width: number];
  /** Side of the box that widens class borders; 0 measures whole classes. Default 5. */
  edgeKernel?: number;
  /** How features are resized; labels always take the nearest pixel. Default 'bilinear'. */
  interpolation?: InterpolationMode;
  /** Keep the first channels of every map alone: true keeps 256, a number that many. Default false. */
  channelClip?: boolean | number;
  /** How label values name classes. Default 'cityscapes'. */
  labelMap?: LabelMapping;
  /** Number of classes; 255 is void. Default 19. */
  numClasses?: number;
  /** Called after every image. */
  onProgress?: (done: number, total: number | undefined) => void;
}

/**
 * Figures of one class. A figure is null unless more than one image has an entry for it: border
 * pixels for the intra figures and the right rate, a pair of centres for the inter figures.
 */
export interface ClassSimilarity {
  /** Class index. */
  label: number;
  /** Mean cosine of border pixels with the centre of their own class. */
  intraMean: number | null;
  /** Unbiased standard deviation of the same. */
  intraStd: number | null;
  /** Mean cosine of the class's centre with the centres of the classes after it. */
  interMean: number | null;
  interStd: number | null;
  /** Share of border pixels to which no other class's centre is nearer than their own. */
  rightRate: number | null;
  /** Border pixels of the class in all images. */
  pixels: number;
}

/** The result of {@link featureSimilarity}. */
export interface FeatureSimilarity {
  classes: ClassSimilarity[];
  /** Means over the classes that have a figure. */
  intraMean: number;
  intraStd: number;
  interMean: number;
  interStd: number;
  /** Mean over classes of the right rates. */
  classRightRate: number;
  /** Right pixels of all classes over all their pixels. */
  pixelRightRate: number;
  /** intraMean - interMean: how much nearer pixels are to their own class than classes are to each other. */
  margin: number;
  images: number;
}

/** What is pooled over images for one class. */
class Pool {
  images = 0;
  count = 0;
  mean = 0;
  /** Sum of squared distances from the mean. */
  spread = 0;

  add(value: number): void {
    this.count += 1;
    const delta = value - this.mean;
    this.mean += delta / this.count;
    this.spread += delta * (value - this.mean);
  }

  get std(): number {
    return Math.sqrt(this.spread / (this.count - 1));
  }
}

interface Totals {
  intra: Pool[];
  inter: Pool[];
  /** Border pixels whose own centre is the nearest. */
  right: Float64Array;
}

interface Settings {
  height: number;
  width: number;
  edgeKernel: number;
  interpolation: InterpolationMode;
  clip: number;
  table: Uint8Array;
  numClasses: number;
}

/**
 * The feature similarity analysis of FreqFusion (IEEE TPAMI 2024, released as feat_tool): how near the features
 * along class borders are to the centre of their own class, how near the centres are to each other, and how often
 * a pixel is nearest to its own. Samples are read one at a time, so an async iterable keeps one image in memory.
 *
 * Throws ERR_SHAPE, ERR_RANGE or ERR_TYPE for sizes, options and samples that do not fit.
 */
export async function featureSimilarity(
  samples: Iterable<SimilaritySample> | AsyncIterable<SimilaritySample>,
  options: FeatureSimilarityOptions = {},
): Promise<FeatureSimilarity> {
  const settings = resolve(options);
  const pools = () => Array.from({ length: settings.numClasses }, () => new Pool());
  const totals: Totals = {
    intra: pools(),
    inter: pools(),
    right: new Float64Array(settings.numClasses),
  };
  const total = Array.isArray(samples) ? samples.length : undefined;
  let images = 0;
  for await (const sample of samples) {
    addImage(sample, settings, totals);
    images += 1;
    options.onProgress?.(images, total);
  }
  return summarize(totals, images);
}

function resolve(options: FeatureSimilarityOptions): Settings {
  const [height, width] = options.size ?? [256, 512];
  const integer = (value: unknown, name: string, low: number, high: number): number => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return value;
    throw invalidArgument('ERR_RANGE', name, `an integer from ${low} to ${high}`, value);
  };
  const interpolation = options.interpolation ?? 'bilinear';
  if (interpolation !== 'bilinear' && interpolation !== 'nearest') {
    throw invalidArgument('ERR_RANGE', 'interpolation', "'bilinear' or 'nearest'", interpolation);
  }
  const clip = options.channelClip ?? false;
  return {
    height: integer(height, 'size[0]', 1, 1 << 14),
    width: integer(width, 'size[1]', 1, 1 << 14),
    edgeKernel: integer(options.edgeKernel ?? 5, 'edgeKernel', 0, 255),
    interpolation,
    clip: typeof clip === 'boolean' ? (clip ? 256 : 0) : integer(clip, 'channelClip', 1, 1 << 20),
    table: labelTable(options.labelMap ?? 'cityscapes'),
    numClasses: integer(options.numClasses ?? 19, 'numClasses', 1, 255),
  };
}

function addImage(sample: SimilaritySample, settings: Settings, totals: Totals): void {
  const { height, width, table, numClasses } = settings;
  const { data, height: labelHeight, width: labelWidth } = sample.labels;
  if (data.length !== labelHeight * labelWidth || data.length === 0) {
    throw invalidArgument('ERR_SHAPE', 'labels', `${labelHeight} x ${labelWidth} labels`, data.length);
  }
  const labels = resizeLabels(data, labelHeight, labelWidth, height, width).map((id) => table[id]!);
  const { edge, interior } = splitEdges(labels, height, width, settings.edgeKernel);
  const present = classesOf(interior, numClasses);
  const slot = new Int16Array(256).fill(-1);
  present.forEach((label, index) => {
    slot[label] = index;
  });
  const { centres, channels, forEachPlane } = classCentres(sample, settings, interior, slot, present.length);

  const norms = present.map((_, k) => norm(centres, k * channels, channels));
  for (const [a, label] of present.entries()) {
    const pool = totals.inter[label]!;
    if (a + 1 < present.length) pool.images += 1;
    for (let b = a + 1; b < present.length; b += 1) {
      let dot = 0;
      for (let c = 0; c < channels; c += 1) dot += centres[a * channels + c]! * centres[b * channels + c]!;
      pool.add(dot / (norms[a]! * norms[b]!));
    }
  }

  const pixels = pixelsOf(edge, slot);
  const dots = new Float64Array(pixels.length * present.length);
  const squares = new Float64Array(pixels.length);
  forEachPlane((plane, channel) => {
    for (let i = 0; i < pixels.length; i += 1) {
      const value = plane[pixels[i]!]!;
      squares[i] = squares[i]! + value * value;
      for (let k = 0, at = i * present.length; k < present.length; k += 1, at += 1) {
        dots[at] = dots[at]! + value * centres[k * channels + channel]!;
      }
    }
  });
  const seen = new Set<number>();
  for (let i = 0; i < pixels.length; i += 1) {
    const label = edge[pixels[i]!]!;
    const own = slot[label]!;
    const length = Math.max(Math.sqrt(squares[i]!), COSINE_EPSILON);
    const cosine = (k: number) => Math.fround(dots[i * present.length + k]! / (length * norms[k]!));
    const mine = cosine(own);
    totals.intra[label]!.add(mine);
    seen.add(label);
    if (present.every((_, k) => k === own || cosine(k) <= mine))
      totals.right[label] = totals.right[label]! + 1;
  }
  for (const label of seen) totals.intra[label]!.images += 1;
}

const COSINE_EPSILON = 1e-8;

function classesOf(labels: Uint8Array, numClasses: number): number[] {
  const counts = new Uint32Array(256);
  for (const label of labels) counts[label] = counts[label]! + 1;
  return Array.from({ length: numClasses }, (_, label) => label).filter(
    (label) => counts[label]! > 0 && label !== VOID_LABEL,
  );
}

function pixelsOf(labels: Uint8Array, slot: Int16Array): Int32Array {
  const pixels = new Int32Array(labels.length);
  let count = 0;
  for (let i = 0; i < labels.length; i += 1) {
    if (slot[labels[i]!]! < 0) continue;
    pixels[count] = i;
    count += 1;
  }
  return pixels.subarray(0, count);
}

/** Mean feature of every class, [classes, channels], and a way to walk the resized planes once more. */
function classCentres(
  sample: SimilaritySample,
  settings: Settings,
  interior: Uint8Array,
  slot: Int16Array,
  classes: number,
) {
  const { height, width, interpolation, clip } = settings;
  const maps = (Array.isArray(sample.features) ? sample.features : [sample.features]) as FeatureMap[];
  if (maps.length === 0) throw invalidArgument('ERR_SHAPE', 'features', 'at least one map', maps);
  const kept = maps.map((map) => (clip > 0 ? Math.min(clip, map.channels) : map.channels));
  const channels = kept.reduce((sum, count) => sum + count, 0);
  const plane = new Float32Array(height * width);
  const forEachPlane = (visit: (plane: Float32Array, channel: number) => void): void => {
    let channel = 0;
    for (const [m, map] of maps.entries()) {
      if (map.data.length !== map.channels * map.height * map.width || map.data.length === 0) {
        const expected = `[${map.channels}, ${map.height}, ${map.width}] values`;
        throw invalidArgument('ERR_SHAPE', 'features', expected, map.data.length);
      }
      const resize = planeResizer(map.height, map.width, height, width, interpolation);
      for (let c = 0; c < kept[m]!; c += 1, channel += 1) {
        resize(map.data, c * map.height * map.width, plane);
        visit(plane, channel);
      }
    }
  };
  const counts = new Float64Array(classes);
  for (const label of interior) if (slot[label]! >= 0) counts[slot[label]!] = counts[slot[label]!]! + 1;
  const centres = new Float64Array(classes * channels);
  const sums = new Float64Array(classes);
  forEachPlane((values, channel) => {
    sums.fill(0);
    for (let i = 0; i < interior.length; i += 1) {
      const k = slot[interior[i]!]!;
      if (k >= 0) sums[k] = sums[k]! + values[i]!;
    }
    for (let k = 0; k < classes; k += 1) centres[k * channels + channel] = sums[k]! / counts[k]!;
  });
  return { centres, channels, forEachPlane };
}

function norm(values: Float64Array, start: number, length: number): number {
  let sum = 0;
  for (let i = start; i < start + length; i += 1) sum += values[i]! ** 2;
  return Math.max(Math.sqrt(sum), COSINE_EPSILON);
}

function summarize({ intra, inter, right }: Totals, images: number): FeatureSimilarity {
  const classes = intra.map((pool, label): ClassSimilarity => {
    const others = inter[label]!;
    return {
      label,
      intraMean: pool.images > 1 ? pool.mean : null,
      intraStd: pool.images > 1 ? pool.std : null,
      interMean: others.images > 1 ? others.mean : null,
      interStd: others.images > 1 ? others.std : null,
      rightRate: pool.images > 1 ? right[label]! / pool.count : null,
      pixels: pool.count,
    };
  });
  const mean = (of: (entry: ClassSimilarity) => number | null): number => {
    const values = classes.map(of).filter((value) => value !== null);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const pixels = classes.reduce((sum, entry) => sum + entry.pixels, 0);
  const rightPixels = right.reduce((sum, count) => sum + count, 0);
  const intraMean = mean((entry) => entry.intraMean);
  const interMean = mean((entry) => entry.interMean);
  return {
    classes,
    intraMean,
    intraStd: mean((entry) => entry.intraStd),
    interMean,
    interStd: mean((entry) => entry.interStd),
    classRightRate: mean((entry) => entry.rightRate),
    pixelRightRate: rightPixels / pixels,
    margin: intraMean - interMean,
    images,
  };
}
