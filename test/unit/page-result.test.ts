import { toCocoRle } from '../../lib/coco/rle-string';
import type { DetectAnswer, SegmentAnswer } from '../../lib/server/page/answer';
import { foundAt, legendOf, makeResult } from '../../lib/server/page/result';

const base = { model: 'm', version: '1', timing: { queue: 0, decode: 0, inference: 0, total: 0 } };
const all = { hidden: new Set<number>(), threshold: 0 };

describe('a segmentation', () => {
  const answer: SegmentAnswer = {
    ...base,
    width: 2,
    height: 2,
    runs: [3, 1, 1, 3],
    classes: [
      { index: 3, name: 'sky', color: [0, 0, 255], pixels: 1, share: 0.25 },
      { index: 1, name: 'tree', color: [0, 255, 0], pixels: 3, share: 0.75 },
    ],
  };

  test('tells the class under a pixel and its share', () => {
    const result = makeResult(answer);
    expect(foundAt(result, 0, 0, all)).toEqual({ name: 'sky', color: [0, 0, 255], share: 0.25 });
    expect(foundAt(result, 1, 1, all)).toEqual({ name: 'tree', color: [0, 255, 0], share: 0.75 });
    expect(foundAt(result, 2, 0, all)).toBeUndefined();
  });

  test('tells the score where there are scores', () => {
    const result = makeResult(answer, {
      width: 2,
      height: 1,
      rgba: Uint8Array.from([51, 51, 51, 255, 204, 204, 204, 255]),
    });
    expect(foundAt(result, 0, 1, all)).toMatchObject({ name: 'tree', score: 0.2 });
    expect(foundAt(result, 1, 1, all)).toMatchObject({ name: 'tree', score: 0.8 });
  });

  test('lists its classes, the largest first', () => {
    expect(legendOf(makeResult(answer), 0).map(({ name, amount }) => [name, amount])).toEqual([
      ['tree', 0.75],
      ['sky', 0.25],
    ]);
  });
});

describe('detections', () => {
  const classes = [
    { index: 0, name: 'circle', color: [255, 0, 0] },
    { index: 1, name: 'star', color: [0, 0, 255] },
    { index: 2, name: 'cross', color: [0, 255, 0] },
  ] as const;
  // Inside: the left half of 4 x 2 pixels.
  const half = toCocoRle({ size: [2, 4], counts: Uint32Array.from([0, 4, 4]) });
  const answer: DetectAnswer = {
    ...base,
    width: 4,
    height: 2,
    classes,
    detections: [
      { box: [0, 0, 4, 2], score: 0.6, label: 0, className: 'circle' },
      { box: [2, 0, 4, 2], score: 0.3, label: 1, className: 'star' },
      { box: [0, 0, 4, 2], score: 0.9, label: 1, className: 'star', mask: half },
    ],
  };
  const result = makeResult(answer);

  test('under a pixel: the mask that holds it, else the smallest box', () => {
    expect(foundAt(result, 1, 1, all)).toEqual({ name: 'star', color: [0, 0, 255], score: 0.9, index: 2 });
    expect(foundAt(result, 3, 1, all)).toMatchObject({ name: 'star', score: 0.3, index: 1 });
    expect(foundAt(result, 3, 1, { ...all, threshold: 0.5 })).toMatchObject({ name: 'circle', index: 0 });
    expect(foundAt(result, 1, 1, { ...all, hidden: new Set([1]) })).toMatchObject({ name: 'circle' });
    expect(foundAt(result, 3, 1, { hidden: new Set([0]), threshold: 0.5 })).toBeUndefined();
  });

  test('the legend counts what the threshold lets through, of classes that were found', () => {
    const counts = (threshold: number) =>
      legendOf(result, threshold).map(({ name, amount }) => [name, amount]);
    expect(counts(0.05)).toEqual([
      ['star', 2],
      ['circle', 1],
    ]);
    expect(counts(0.8)).toEqual([
      ['star', 1],
      ['circle', 0],
    ]);
  });
});
