import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type InstanceAnnotations, readInstances } from '../../lib/coco/instances';
import { type CocoRle, fromCocoRle, rleArea, rleIou } from '../../lib/coco/rle';
import { memoryStats } from '../../lib/device';
import { DetectionEvaluator } from '../../lib/evaluation/detection-evaluator';
import type { DetectionModel } from '../../lib/models/detection-model';
import type { Detection, DetectionResult } from '../../lib/models/detection-result';
import { BUNDLED_DETECTOR_FOLDER } from '../../lib/models/detector-architectures';
import { loadDetector } from '../../lib/models/load-detector';
import { expectNothingLeft } from '../collect-garbage';

const VAL = join(BUNDLED_DETECTOR_FOLDER, 'val');

/** A detection of the network in plain PyTorch (bench/shapes/export.py). */
interface Stored {
  box: [number, number, number, number];
  score: number;
  label: number;
  segmentation: CocoRle;
}

/** COCO's numbers by pycocotools (metrics.json): the twelve in its order, then those of every class. */
interface Metrics extends Record<string, unknown> {
  perClass: Record<string, number>;
}

async function readJson<T>(...path: string[]): Promise<T> {
  return JSON.parse(await readFile(join(BUNDLED_DETECTOR_FOLDER, ...path), 'utf8')) as T;
}

let model: DetectionModel;
let reference: Record<string, Stored[]>;
let truth: InstanceAnnotations;
/** What is found in every picture, by its file name. */
const found = new Map<string, DetectionResult>();

beforeAll(async () => {
  model = await loadDetector();
  reference = await readJson('reference.json');
  truth = await readInstances(join(VAL, 'annotations.json'), { masks: true });
  for (const name of Object.keys(reference)) found.set(name, await model.detect(join(VAL, name)));
}, 120_000);
afterAll(() => model.dispose());

/** Greatest distance between the edges of two boxes, in pixels. */
function distance(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((side, i) => Math.abs(side - b[i]!)));
}

/** The reference's detections, each with ours of the same class whose box is nearest; none of ours is taken twice. */
function pairs(name: string): { ours: Detection; theirs: Stored }[] {
  const left = [...found.get(name)!.detections];
  return reference[name]!.map((theirs) => {
    const candidates = left.filter(({ label }) => label === theirs.label);
    candidates.sort((a, b) => distance(a.box, theirs.box) - distance(b.box, theirs.box));
    const ours = candidates[0]!;
    left.splice(left.indexOf(ours), 1);
    return { ours, theirs };
  });
}

test('the bundled detector says what it is', () => {
  expect(model.classes).toEqual(['circle', 'square', 'triangle', 'star', 'cross']);
  expect(model.info).toMatchObject({
    architecture: 'shapes-mask-rcnn-r18-freqfusion',
    task: 'instance-segmentation',
    loaded: { missing: [], unexpected: [], mismatched: [] },
  });
});

test('the pictures are of several sizes, most show shapes and one shows none', () => {
  const sizes = new Set([...truth.images.values()].map(({ width, height }) => `${width} x ${height}`));
  expect(sizes).toEqual(new Set(['320 x 256', '256 x 320', '640 x 512', '200 x 150']));
  expect([...found.values()].filter(({ detections }) => detections.length === 0)).toHaveLength(1);
});

describe('against PyTorch, in every picture', () => {
  test('the same number of detections, best score first', () => {
    for (const [name, { detections }] of found) {
      expect([name, detections.length]).toEqual([name, reference[name]!.length]);
      const scores = detections.map(({ score }) => score);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
    }
  });

  test('the same labels, boxes to 0.05 pixels and scores to 0.001', () => {
    for (const name of Object.keys(reference)) {
      for (const { ours, theirs } of pairs(name)) {
        expect(distance(ours.box, theirs.box)).toBeLessThan(0.05);
        expect(Math.abs(ours.score - theirs.score)).toBeLessThan(1e-3);
        expect(ours.className).toBe(model.classes[theirs.label]);
      }
    }
  });

  test('masks with an IoU above 0.99', () => {
    for (const name of Object.keys(reference)) {
      for (const { ours, theirs } of pairs(name)) {
        const wanted = fromCocoRle(theirs.segmentation);
        expect(ours.mask!.rle.size).toEqual(wanted.size);
        if (ours.mask!.area + rleArea(wanted) === 0) continue;
        expect(rleIou([ours.mask!.rle], [wanted])[0]).toBeGreaterThan(0.99);
      }
    }
  });
});

test.each(['bbox', 'segm'] as const)(
  'COCO AP (%s) is that of pycocotools on PyTorch, within 0.002',
  async (task) => {
    const metrics = await readJson<Record<string, Metrics>>('metrics.json');
    const evaluator = new DetectionEvaluator(truth, { task });
    for (const { id, fileName } of truth.images.values()) evaluator.add(id, found.get(fileName)!.toCoco(id));
    const { stats, classes } = evaluator.report();
    const { perClass, ...wanted } = metrics[task]!;
    expect(Object.values(wanted)).toHaveLength(stats.length);
    for (const [i, value] of (Object.values(wanted) as number[]).entries())
      expect(Math.abs(stats[i]! - value)).toBeLessThan(0.002);
    for (const { name, ap } of classes) expect(Math.abs(ap! - perClass[name]!)).toBeLessThan(0.002);
  },
);

test('what a person sees is right: a shape lies there, and it has that name', () => {
  let [right, wrong, shapes] = [0, 0, 0];
  for (const { id, fileName } of truth.images.values()) {
    const left = truth.of(id).map((shape) => ({ label: shape.categoryId - 1, rle: truth.mask(shape) }));
    shapes += left.length;
    for (const { label, mask } of found.get(fileName)!.detections) {
      const hit = left.findIndex(
        (shape) => shape.label === label && rleIou([mask!.rle], [shape.rle])[0]! > 0.5,
      );
      if (hit < 0) wrong += 1;
      else right += left.splice(hit, 1).length;
    }
  }
  expect({ right, wrong, shapes }).toEqual({ right: 41, wrong: 5, shapes: 44 }); // models/shapes/README.md
});

test('a batch of pictures of different sizes gives what each gives alone', async () => {
  const names = [...found.keys()];
  const files = names.map((name) => join(VAL, name));
  for await (const { index, result } of model.detectAll(files, { batch: 4 })) {
    const alone = found.get(names[index]!)!;
    expect(result!.detections).toHaveLength(alone.detections.length);
    for (const [i, { box, score, label }] of result!.detections.entries()) {
      const single = alone.detections[i]!;
      expect(label).toBe(single.label);
      expect(distance(box, single.box)).toBeLessThan(0.01);
      expect(Math.abs(score - single.score)).toBeLessThan(1e-4);
    }
  }
});

test('nothing is left behind', async () => {
  const before = memoryStats();
  const other = await loadDetector();
  await other.detect(join(VAL, 'picture_00.png'));
  other.dispose();
  expectNothingLeft(before);
});
