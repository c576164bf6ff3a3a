import type { DetectionResult } from '../../models/detection-result';
import type { OutputBudget } from './budget';
import type { InferTensor } from './datatypes';
import { stack } from './stack';

/** What a slot has that no detection fills: no class. */
const NO_LABEL = -1n;

const text = new TextEncoder();

/** Makes one output of a detector out of the results of all images, padded to the largest number of detections. */
type Maker = (name: string, results: readonly DetectionResult[], most: number) => InferTensor;

const MAKERS: Readonly<Record<string, Maker>> = {
  num_detections: (name, results) => ({
    name,
    datatype: 'INT32',
    shape: [results.length, 1],
    data: Int32Array.from(results, ({ detections }) => detections.length),
  }),
  boxes(name, results, most) {
    const data = new Float32Array(results.length * most * 4);
    for (const [at, { box }] of slots(results, most)) data.set(box, 4 * at);
    return { name, datatype: 'FP32', shape: [results.length, most, 4], data };
  },
  scores(name, results, most) {
    const data = new Float32Array(results.length * most);
    for (const [at, { score }] of slots(results, most)) data[at] = score;
    return { name, datatype: 'FP32', shape: [results.length, most], data };
  },
  labels(name, results, most) {
    const data = new BigInt64Array(results.length * most).fill(NO_LABEL);
    for (const [at, { label }] of slots(results, most)) data[at] = BigInt(label);
    return { name, datatype: 'INT64', shape: [results.length, most], data };
  },
  masks(name, results, most) {
    const data = new Array<Uint8Array>(results.length * most).fill(new Uint8Array());
    for (const [at, { mask }] of slots(results, most)) {
      if (mask !== undefined) data[at] = text.encode(JSON.stringify(mask.toCoco()));
    }
    return { name, datatype: 'BYTES', shape: [results.length, most], data };
  },
  panoptic: (name, results) =>
    stack(
      name,
      'INT32',
      results.map(({ panoptic }) => {
        const { height, width, ids } = panoptic!;
        return { shape: [height, width], data: ids };
      }),
    ),
  panoptic_segments: (name, results) => ({
    name,
    datatype: 'BYTES',
    shape: [results.length],
    data: results.map(({ panoptic }) => text.encode(JSON.stringify(panoptic!.segments))),
  }),
};

/**
 * The wanted outputs of a detector for the results of all images.
 * Throws ServerError ERR_REQUEST_SIZES for panoptic maps of different sizes, and ERR_REQUEST_OUTPUT.
 */
export function detectTensors(
  results: readonly DetectionResult[],
  wanted: readonly string[],
  budget: OutputBudget,
): InferTensor[] {
  const most = Math.max(...results.map(({ detections }) => detections.length));
  if (wanted.includes('panoptic')) {
    for (const { width, height } of results) budget.take(4 * width * height);
  }
  return wanted.map((name) => MAKERS[name]!(name, results, most));
}

/** All detections, with their place among `most` slots an image. */
function* slots(results: readonly DetectionResult[], most: number) {
  for (const [image, { detections }] of results.entries()) {
    for (const [i, detection] of detections.entries()) yield [image * most + i, detection] as const;
  }
}
