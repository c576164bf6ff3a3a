import { DetectionMask } from '../../lib/models/detection-mask';
import { DetectionResult } from '../../lib/models/detection-result';
import { PanopticMap } from '../../lib/models/panoptic-map';
import { SegmentationMap } from '../../lib/models/segmentation-map';
import { MAX_OUTPUT_BYTES, OutputBudget } from '../../lib/server/protocol/budget';
import type { InferTensor } from '../../lib/server/protocol/datatypes';
import { detectTensors } from '../../lib/server/protocol/detect-outputs';
import { readMap, segmentTensors } from '../../lib/server/protocol/segment-outputs';

const timing = { decode: 0, inference: 0, total: 0 };

/** A result with so many detections of one pixel each, and a panoptic map of one segment. */
function result(width: number, height: number, count: number): DetectionResult {
  const classes = ['thing', 'stuff'];
  const palette = [
    [1, 2, 3],
    [4, 5, 6],
  ] as const;
  const map = new Int32Array(width * height).fill(1);
  return new DetectionResult({
    width,
    height,
    detections: Array.from({ length: count }, (_, i) => ({
      box: [i, 0, i + 1, 1] as const,
      score: 1 / (i + 2),
      label: 0,
      className: 'thing',
      mask: new DetectionMask({
        size: [height, width],
        counts: Uint32Array.of(i * height, 1, width * height - i * height - 1),
      }),
    })),
    panoptic: new PanopticMap({ width, height, map, classes, palette, things: 1 }),
    classes,
    palette,
    timing,
  });
}

const byName = (tensors: readonly InferTensor[]) =>
  Object.fromEntries(tensors.map((each) => [each.name, each]));
const texts = (tensor: InferTensor) =>
  (tensor.data as Uint8Array[]).map((element) => Buffer.from(element).toString());

describe('outputs of a detector', () => {
  const ALL = ['num_detections', 'boxes', 'scores', 'labels', 'masks', 'panoptic', 'panoptic_segments'];

  test('are padded, and panoptic maps lie behind each other', () => {
    const tensors = byName(detectTensors([result(4, 3, 1), result(4, 3, 2)], ALL, new OutputBudget()));
    expect(tensors.num_detections).toMatchObject({ shape: [2, 1], data: Int32Array.of(1, 2) });
    expect(tensors.boxes).toMatchObject({
      shape: [2, 2, 4],
      data: Float32Array.of(0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 2, 1),
    });
    expect(tensors.scores).toMatchObject({ data: Float32Array.of(0.5, 0, 0.5, 1 / 3) });
    expect(tensors.labels).toMatchObject({ data: BigInt64Array.of(0n, -1n, 0n, 0n) });
    const masks = texts(tensors.masks!);
    expect(masks.map((text) => text !== '')).toEqual([true, false, true, true]);
    expect(JSON.parse(masks[3]!)).toEqual(result(4, 3, 2).detections[1]!.mask!.toCoco());
    expect(tensors.panoptic).toMatchObject({ datatype: 'INT32', shape: [2, 3, 4] });
    const [segments] = texts(tensors.panoptic_segments!).map((text) => JSON.parse(text));
    expect(segments).toMatchObject([{ className: 'stuff', isThing: false, area: 12 }]);
    expect(new Set(tensors.panoptic!.data as Int32Array)).toEqual(new Set([segments[0].id]));
  });

  test('of images without detections are empty', () => {
    const tensors = byName(detectTensors([result(4, 3, 0)], ALL, new OutputBudget()));
    expect(ALL.map((name) => tensors[name]!.shape)).toEqual([
      [1, 1],
      [1, 0, 4],
      [1, 0],
      [1, 0],
      [1, 0],
      [1, 3, 4],
      [1],
    ]);
  });

  test('of images of two sizes have no panoptic map, and all else', () => {
    const results = [result(4, 3, 1), result(3, 4, 1)];
    const error = { code: 'ERR_REQUEST_SIZES', actual: '[4, 3] of image 1' };
    expect(() => detectTensors(results, ['panoptic'], new OutputBudget())).toThrow(
      expect.objectContaining(error),
    );
    expect(detectTensors(results, ['boxes', 'panoptic_segments'], new OutputBudget())).toHaveLength(2);
  });
});

describe('outputs of a segmentation', () => {
  test('of more than 256 classes have labels of 32 bits', async () => {
    const map = (label: number) =>
      new SegmentationMap({
        width: 2,
        height: 1,
        labels: Int32Array.of(label, 299),
        classes: Array.from({ length: 300 }, (_, i) => `class ${i}`),
        palette: [],
        timing,
      });
    const images = await Promise.all(
      [1, 2].map((label) => readMap(map(label), ['labels'], new OutputBudget())),
    );
    expect(segmentTensors(images, ['labels'], 300)).toEqual([
      { name: 'labels', datatype: 'INT32', shape: [2, 1, 2], data: Int32Array.of(1, 299, 2, 299) },
    ]);
  });

  test('have no more bytes than a request may have', () => {
    const budget = new OutputBudget();
    budget.take(MAX_OUTPUT_BYTES);
    expect(() => budget.take(1)).toThrow(expect.objectContaining({ code: 'ERR_REQUEST_OUTPUT' }));
  });
});
