import { InstanceAnnotations } from '../../lib/coco/instances';
import type { CocoResult } from '../../lib/coco/results';
import { DetectionEvaluator, type DetectionEvaluatorOptions } from '../../lib/evaluation/detection-evaluator';
import fixtures from './fixtures/coco-detections.json';

interface Truth {
  images: unknown[];
  categories: unknown[];
  annotations: unknown[];
}

function annotationsOf({ images, categories, annotations }: Truth, masks = true): InstanceAnnotations {
  const made = new InstanceAnnotations('truth.json', masks);
  for (const [list, values] of Object.entries({ images, categories, annotations })) {
    for (const [index, value] of values.entries()) made.add(value, list, index);
  }
  made.checkReferences();
  return made;
}

function evaluated(truth: Truth, results: readonly CocoResult[], options: DetectionEvaluatorOptions = {}) {
  const evaluator = new DetectionEvaluator(annotationsOf(truth), options);
  const ids = new Set(results.map(({ image_id }) => image_id));
  // In any order of the images.
  for (const id of [...ids].reverse())
    evaluator.add(
      id,
      results.filter(({ image_id }) => image_id === id),
    );
  return evaluator;
}

describe("COCO AP, equal to pycocotools' (test/python/coco/make_fixtures.py)", () => {
  const cases = fixtures.flatMap(({ truth, results, cases }, scene) =>
    cases.map((each) => ({ scene, truth, results, ...each })),
  );
  test.each(cases)('scene $scene, $options', ({ truth, results, options, stats, recall }) => {
    const evaluator = evaluated(
      truth,
      results as CocoResult[],
      options as unknown as DetectionEvaluatorOptions,
    );
    const report = evaluator.report();
    report.stats.forEach((value, i) => {
      expect(value).toBeCloseTo(stats[i]!, 9);
    });
    evaluator.precisionRecall().recall.forEach((value, i) => {
      expect(value).toBeCloseTo(recall[i]!, 9);
    });
  });

  test('the scores differ between the scenes and settings', () => {
    expect(new Set(cases.map(({ stats }) => String(stats))).size).toBeGreaterThan(12);
  });
});

describe('average precision', () => {
  const image = (id: number) => ({ id, file_name: `${id}.jpg`, width: 100, height: 100 });
  const categories = [
    { id: 1, name: 'cat' },
    { id: 5, name: 'dog' },
  ];
  const object = (id: number, bbox: number[], more: object = {}) => ({
    id,
    image_id: 1,
    category_id: 1,
    bbox,
    area: bbox[2]! * bbox[3]!,
    iscrowd: 0,
    ...more,
  });
  const detection = (bbox: number[], score: number, more: object = {}) =>
    ({ image_id: 1, category_id: 1, bbox, score, ...more }) as CocoResult;
  const truth = (...annotations: object[]): Truth => ({
    images: [image(1), image(2)],
    categories,
    annotations,
  });
  const box = [10, 10, 20, 20];
  // The precision of n right ones of n is n / (n + the least number above 1, less 1).
  const one = expect.closeTo(1, 12);

  test('a perfect detection, an object that is missed, a class without objects', () => {
    const { ap, ap50, apSmall, apLarge, ar, stats, classes, truths, detections } = evaluated(
      truth(object(1, box), object(2, [50, 50, 20, 20])),
      [detection(box, 0.9)],
    ).report();
    // Precision is 1 up to the recall of one half: 51 of 101 levels.
    expect(ap).toBeCloseTo(51 / 101, 12);
    expect([ap50, apSmall]).toEqual([ap, ap]);
    expect(apLarge).toBeNull();
    expect(ar).toEqual({ 1: 0.5, 10: 0.5, 100: 0.5 });
    expect(stats).toHaveLength(12);
    expect(stats[5]).toBe(-1);
    expect([truths, detections]).toEqual([2, 1]);
    expect(classes.map(({ name, ap, ar, truths }) => ({ name, ap, ar, truths }))).toEqual([
      { name: 'cat', ap: expect.closeTo(51 / 101, 12), ar: 0.5, truths: 2 },
      { name: 'dog', ap: null, ar: null, truths: 0 },
    ]);
  });

  test('a detection is judged at every threshold: an IoU of 0.6 counts at three of ten', () => {
    const report = evaluated(truth(object(1, [0, 0, 10, 10])), [detection([0, 0, 10, 6], 1)]).report();
    expect(report.ap).toBeCloseTo(0.3, 12);
    expect([report.ap50, report.ap75]).toEqual([one, 0]);
  });

  test('a second detection of an object is wrong, any number within a crowd is neither', () => {
    const twice = [detection(box, 0.9), detection(box, 0.95)];
    expect(evaluated(truth(object(1, box)), twice).report().ap).toEqual(one);
    const better = [detection(box, 0.9), detection([0, 0, 5, 5], 0.95)];
    expect(evaluated(truth(object(1, box)), better).report().ap).toBeCloseTo(0.5, 12);
    const crowd = object(2, [0, 0, 40, 40], { iscrowd: 1 });
    expect(evaluated(truth(object(1, box), crowd), better).report().ap).toEqual(one);
  });

  test('objects count in the range of their stated area', () => {
    const { apSmall, apMedium } = evaluated(truth(object(1, box, { area: 5000 })), [
      detection(box, 1),
    ]).report();
    expect([apSmall, apMedium]).toEqual([null, one]);
  });

  test('an object with the id 0 can be found', () => {
    expect(evaluated(truth(object(0, box)), [detection(box, 1)]).report().ap).toEqual(one);
  });

  test('no detections, no objects, nothing at all', () => {
    expect(evaluated(truth(object(1, box)), []).report()).toMatchObject({
      ap: 0,
      ar: { 100: 0 },
      apLarge: null,
    });
    expect(evaluated(truth(), [detection(box, 1)]).report()).toMatchObject({ ap: null, detections: 1 });
    expect(evaluated(truth(), []).report().stats).toEqual(Array(12).fill(-1));
  });

  test('images and categories can be chosen', () => {
    const all = truth(object(1, box), object(2, box, { image_id: 2 }), object(3, box, { category_id: 5 }));
    const found = [detection(box, 1)];
    const chosen = { imageIds: [1], categoryIds: [1] };
    expect(evaluated(all, found).report().ap).toBeCloseTo(51 / 202, 12);
    expect(evaluated(all, found, chosen).report()).toMatchObject({ ap: one, images: 1, truths: 1 });
    // What is not judged is passed over.
    const more = [...found, detection(box, 1, { image_id: 2 }), detection(box, 1, { category_id: 5 })];
    expect(evaluated(all, more, chosen).report()).toMatchObject({ ap: one, detections: 1 });
  });

  test('with masks, the area of a wrong one decides, or that of its box where that is asked for', () => {
    const segmentation = [[50, 50, 50, 70, 70, 70, 70, 50]];
    const target = object(1, [50, 50, 20, 20], { segmentation });
    const wrong = { segmentation: { size: [100, 100], counts: [0, 40, 9960] }, bbox: [0, 0, 40, 40] };
    const results = [detection([], 1, wrong), detection([], 0.9, { ...wrong, segmentation })];
    expect(evaluated(truth(target), results, { task: 'segm' }).report().apSmall).toBeCloseTo(0.5, 12);
    expect(evaluated(truth(target), results, { task: 'segm', segmArea: 'box' }).report().apSmall).toEqual(
      one,
    );
  });

  test.each([
    ['an unknown image', { image_id: 9 }, 'ERR_COCO_REFERENCE', /an image of the annotation file .*image_id/],
    ['an unknown category', { category_id: 2 }, 'ERR_COCO_REFERENCE', /a category of the annotation file/],
    ['another image', { image_id: 2 }, 'ERR_COCO_FORMAT', /expected 1 for \[0\]\.image_id/],
    ['no score', { score: undefined }, 'ERR_COCO_FORMAT', /a number for \[0\]\.score/],
    ['a score that is no number', { score: Number.NaN }, 'ERR_COCO_FORMAT', /got NaN/],
    ['a box of three', { bbox: [1, 2, 3] }, 'ERR_COCO_FORMAT', /\[x, y, width, height\] for \[0\]\.bbox/],
  ])('a detection of %s is refused', (_, change, code, message) => {
    const evaluator = new DetectionEvaluator(annotationsOf(truth(object(1, box))));
    const add = () => evaluator.add(1, [{ ...detection(box, 1), ...change } as CocoResult]);
    expect(add).toThrow(expect.objectContaining({ code }));
    expect(add).toThrow(message);
  });

  test('a report says what has been given so far, and changes nothing', () => {
    const other = object(2, box, { image_id: 2, category_id: 5 });
    const evaluator = new DetectionEvaluator(annotationsOf(truth(object(1, box), other)));
    evaluator.add(1, [detection(box, 1)]);
    const before = evaluator.report();
    expect(before).toMatchObject({ ap50: expect.closeTo(0.5, 12), truths: 2, detections: 1 });
    expect(before.classes.map(({ truths }) => truths)).toEqual([1, 1]);
    expect(evaluator.report()).toEqual(before);
    evaluator.add(2, [detection(box, 1, { image_id: 2, category_id: 5 })]);
    expect(evaluator.report()).toMatchObject({ ap: one, truths: 2, detections: 2 });
  });

  test('of an image that is refused nothing is kept, and it can be given again', () => {
    const segmentation = [[10, 10, 30, 10, 30, 30, 10, 30]];
    const objects = [object(1, box, { segmentation }), object(2, box, { category_id: 5, segmentation })];
    const evaluator = new DetectionEvaluator(annotationsOf(truth(...objects)), { task: 'segm' });
    const found = detection(box, 1, { segmentation });
    const wrong = { ...found, category_id: 5, segmentation: { size: [10, 10], counts: 'T3' } };
    expect(() => evaluator.add(1, [found, wrong as CocoResult])).toThrow(/a mask of 100 x 100 pixels/);
    expect(evaluator.report()).toMatchObject({ ap: 0, truths: 2, detections: 0 });
    evaluator.add(1, [found, { ...found, category_id: 5 }]);
    expect(evaluator.report()).toMatchObject({ ap: one, truths: 2, detections: 2 });
  });

  test('an image is given once; masks of another size, and options that cannot be, are refused', () => {
    const evaluator = new DetectionEvaluator(annotationsOf(truth(object(1, box))));
    evaluator.add(1, []);
    expect(() => evaluator.add(1, [])).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => evaluator.add(3, [])).toThrow(expect.objectContaining({ code: 'ERR_COCO_REFERENCE' }));
    const masks = new DetectionEvaluator(annotationsOf(truth(object(1, box))), { task: 'segm' });
    const segmentation = { size: [10, 10] as [number, number], counts: 'T3' };
    expect(() => masks.add(1, [{ ...detection(box, 1), segmentation }])).toThrow(
      /a mask of 100 x 100 pixels for \[0\]\.segmentation of the detections of image 1/,
    );
    const withoutMasks = annotationsOf(truth(), false);
    const option = expect.objectContaining({ code: 'ERR_OPTION_VALUE' });
    expect(() => new DetectionEvaluator(withoutMasks, { task: 'segm' })).toThrow(option);
    expect(() => new DetectionEvaluator(withoutMasks, { maxDetections: [1, 2] as never })).toThrow(option);
    expect(() => new DetectionEvaluator(withoutMasks, { imageIds: [77] })).toThrow(
      expect.objectContaining({ code: 'ERR_COCO_REFERENCE' }),
    );
  });
});
