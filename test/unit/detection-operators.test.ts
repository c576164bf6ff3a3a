import {
  baseAnchors,
  batchedNms,
  bbox2delta,
  delta2bbox,
  FreqFusionError,
  gridAnchors,
  maskPaste,
  maskRuns,
  memoryStats,
  multiclassNms,
  nms,
  octaveScales,
  pasteWindow,
  roiAlign,
  roiAlignBackward,
  roiExtract,
  roiLevels,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '../../lib';
import { collectGarbage, expectNothingLeft } from '../collect-garbage';

beforeAll(collectGarbage);

function float32(values: readonly number[], shape: readonly number[]): Tensor<'float32'> {
  return tensor(Float32Array.from(values), [...shape]);
}

function int64(values: readonly number[]): Tensor<'int64'> {
  return tensor(BigInt64Array.from(values, BigInt), [values.length]);
}

const numbers = (value: Tensor): number[] => Array.from(value.dataSync() as ArrayLike<number>, Number);

async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof FreqFusionError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** A map whose value is 10 * row + column: bilinear samples give their own positions. */
function ramp(channels: number, height: number, width: number): Tensor<'float32'> {
  const values = Array.from({ length: channels * height * width }, (_, i) => {
    const at = i % (height * width);
    return 10 * Math.floor(at / width) + (at % width) + 1000 * Math.floor(i / (height * width));
  });
  return float32(values, [1, channels, height, width]);
}

describe('roiAlign', () => {
  test('the mean of a bin on a ramp is its centre', () =>
    scope(async () => {
      const pooled = await roiAlign(ramp(2, 8, 9), float32([0, 2.5, 1.5, 6.5, 5.5], [1, 5]), {
        outputSize: 2,
      });
      // Bins of 2 x 2 from (1, 2): their centres are at rows 2 and 4, columns 3 and 5.
      expect(pooled.shape).toEqual([1, 2, 2, 2]);
      expect(numbers(pooled)).toEqual([23, 25, 43, 45, 1023, 1025, 1043, 1045]);
    }));

  test('outputSize is [height, width], and spatialScale maps image pixels to the map', () =>
    scope(async () => {
      const rois = float32([0, 10, 6, 26, 22], [1, 5]);
      const pooled = await roiAlign(ramp(1, 8, 9), rois, { outputSize: [1, 2], spatialScale: 0.25 });
      expect(pooled.shape).toEqual([1, 1, 1, 2]);
      expect(numbers(pooled)).toEqual([33, 35]);
    }));

  test('older boxes are at least one pixel, and not shifted', () =>
    scope(async () => {
      const rois = float32([0, 3, 2, 3, 2], [1, 5]);
      expect(numbers(await roiAlign(ramp(1, 8, 9), rois, { outputSize: 1, aligned: false }))).toEqual([28.5]);
      expect(numbers(await roiAlign(ramp(1, 8, 9), rois, { outputSize: 1 }))).toEqual([0]);
    }));

  test('every box gets its image; none gives an empty tensor', () =>
    scope(async () => {
      const features = float32([1, 1, 1, 1, 7, 7, 7, 7], [2, 1, 2, 2]);
      const rois = float32([1, 0, 0, 2, 2, 0, 0, 0, 2, 2], [2, 5]);
      expect(numbers(await roiAlign(features, rois, { outputSize: 1 }))).toEqual([7, 1]);
      const none = await roiAlign(features, zeros([0, 5]), { outputSize: 3 });
      expect(none.shape).toEqual([0, 1, 3, 3]);
    }));

  test('the gradient of a sum of bins is spread over the map', () =>
    scope(async () => {
      const rois = float32([0, 1.3, 0.8, 6.2, 5.1], [1, 5]);
      const gradient = await roiAlignBackward(
        float32(new Array(49).fill(1), [1, 1, 7, 7]),
        rois,
        [1, 1, 8, 9],
      );
      expect(gradient.shape).toEqual([1, 1, 8, 9]);
      expect(numbers(gradient).reduce((a, b) => a + b)).toBeCloseTo(49, 4);
    }));

  test('levels and the extractor', () =>
    scope(async () => {
      const rois = float32([0, 0, 0, 112, 112, 0, 0, 0, 111, 111, 0, 0, 0, 500, 500], [3, 5]);
      expect(numbers(await roiLevels(rois, { levels: 3 }))).toEqual([1, 0, 2]);
      const levels = [ramp(3, 64, 64), ramp(3, 32, 32), ramp(3, 16, 16)];
      const strides = [4, 8, 16];
      const pooled = await roiExtract(levels, rois, { strides, outputSize: 7 });
      const alone = await roiAlign(levels[1]!, rois.slice(0, 0, 1), { spatialScale: 1 / 8 });
      expect(numbers(pooled.slice(0, 0, 1))).toEqual(numbers(alone));
    }));

  test.each([
    [[2, 0, 0, 1, 1], 'ERR_ARGUMENT: expected an image index below 1 for rois[0][0], got 2'],
    [[-1, 0, 0, 1, 1], 'ERR_ARGUMENT: expected an image index below 1 for rois[0][0], got -1'],
    [[0, 0, 0, 1], 'ERR_SHAPE: expected shape [K, 5] for rois, got [1, 4]'],
  ])('boxes %j are refused', async (values, message) => {
    await scope(async () => {
      const rois = float32(values, [1, values.length]);
      expect(await refusal(() => roiAlign(ramp(1, 4, 4), rois))).toBe(message);
    });
  });

  test.each([
    [{ outputSize: 0 }, 'ERR_RANGE: expected an integer from 1 to 256 for outputSize, got 0'],
    [{ outputSize: [7] }, 'ERR_TYPE: expected a number or [height, width] for outputSize, got [7]'],
    [{ spatialScale: 0 }, 'ERR_RANGE: expected a number above 0 for spatialScale, got 0'],
    [{ spatialScale: Number.NaN }, 'ERR_RANGE: expected a number above 0 for spatialScale, got NaN'],
    [{ samplingRatio: -1 }, 'ERR_RANGE: expected an integer from 0 to 64 for samplingRatio, got -1'],
    [{ aligned: 1 }, 'ERR_TYPE: expected a boolean for aligned, got 1'],
  ])('options %j are refused', async (options, message) => {
    await scope(async () => {
      const call = () => roiAlign(ramp(1, 4, 4), zeros([1, 5]), options as object);
      expect(await refusal(call)).toBe(message);
    });
  });
});

describe('nms', () => {
  const boxes = [0, 0, 10, 10, 0, 0, 10, 9, 20, 20, 30, 30, 0, 0, 10, 5];

  test('a box is dropped when its IoU with a better one is above the threshold', () =>
    scope(async () => {
      const scores = float32([0.7, 0.9, 0.8, 0.6], [4]);
      // 0 and 1 overlap by 0.9, 3 overlaps 1 by 0.556 and 0 by exactly 0.5.
      expect(numbers(await nms(float32(boxes, [4, 4]), scores))).toEqual([1, 2]);
      expect(numbers(await nms(float32(boxes, [4, 4]), scores, { iouThreshold: 0.6 }))).toEqual([1, 2, 3]);
      expect(numbers(await nms(float32(boxes, [4, 4]), scores, { maxNum: 1 }))).toEqual([1]);
      expect(numbers(await nms(float32(boxes, [4, 4]), scores, { scoreThreshold: 0.85 }))).toEqual([1]);
    }));

  test('groups do not drop each other, unless they do not matter', () =>
    scope(async () => {
      const scores = float32([0.7, 0.9, 0.8, 0.6], [4]);
      const groups = int64([0, 1, 0, 2]);
      const table = float32(boxes, [4, 4]);
      expect(numbers(await batchedNms(table, scores, groups))).toEqual([1, 2, 0, 3]);
      expect(numbers(await batchedNms(table, scores, groups, { splitThreshold: 0 }))).toEqual([1, 2, 0, 3]);
      expect(numbers(await batchedNms(table, scores, groups, { classAgnostic: true }))).toEqual([1, 2]);
      expect(numbers(await batchedNms(table, scores, groups, { maxNum: 2 }))).toEqual([1, 2]);
    }));

  test('the last step of a box head', () =>
    scope(async () => {
      // Two classes and the background; both boxes see class 1.
      const scores = float32([0.1, 0.8, 0.1, 0.3, 0.6, 0.1], [2, 3]);
      const found = await multiclassNms(float32(boxes.slice(0, 8), [2, 4]), scores, { scoreThreshold: 0.2 });
      expect(numbers(found.labels)).toEqual([1, 0]);
      expect(numbers(found.indices)).toEqual([1, 2]);
      expect(numbers(found.boxes)).toEqual([0, 0, 10, 10, 0, 0, 10, 9]);
      expect(numbers(found.scores).map((score) => score.toFixed(3))).toEqual(['0.800', '0.300']);
      const none = await multiclassNms(zeros([0, 8]), zeros([0, 3]));
      expect(none.boxes.shape).toEqual([0, 4]);
      expect(none.labels.shape).toEqual([0]);
    }));

  test('what is refused', () =>
    scope(async () => {
      const table = float32(boxes, [4, 4]);
      expect(await refusal(() => nms(zeros([4, 5]), zeros([4])))).toBe(
        'ERR_SHAPE: expected shape [N, 4] for boxes, got [4, 5]',
      );
      expect(await refusal(() => nms(table, zeros([3])))).toBe(
        'ERR_SHAPE: expected shape [4] for scores, got [3]',
      );
      expect(await refusal(() => nms(table, zeros([4]), { iouThreshold: 2 }))).toBe(
        'ERR_RANGE: expected a number from 0 to 1 for iouThreshold, got 2',
      );
      expect(await refusal(() => batchedNms(table, zeros([4]), zeros([4]) as never))).toBe(
        'ERR_DTYPE: expected dtype int64 for groups, got "float32"',
      );
      expect(await refusal(() => multiclassNms(table, zeros([4, 1])))).toBe(
        'ERR_SHAPE: expected shape [N, classes + 1] for scores, got [4, 1]',
      );
      expect(await refusal(() => multiclassNms(zeros([4, 8]), zeros([4, 4])))).toBe(
        'ERR_SHAPE: expected shape [4, 4] or [4, 12] for boxes, got [4, 8]',
      );
    }));
});

describe('masks on a canvas', () => {
  const boxes = [1, 1, 3, 4];

  test('a mask of ones fills its box, half a texel fades', () =>
    scope(async () => {
      const pasted = await maskPaste(float32(new Array(6).fill(1), [1, 3, 2]), float32(boxes, [1, 4]), {
        height: 5,
        width: 4,
      });
      expect(pasted.shape).toEqual([1, 5, 4]);
      expect(numbers(pasted)).toEqual([0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    }));

  test('run lengths go down the columns, and begin with zeros', () =>
    scope(async () => {
      const masks = float32(
        [...new Array(6).fill(1), ...new Array(6).fill(0), ...new Array(6).fill(1)],
        [3, 3, 2],
      );
      const places = float32([...boxes, ...boxes, 0, 0, 4, 5], [3, 4]);
      const { runs, starts, areas } = await maskRuns(masks, places, { height: 5, width: 4 });
      expect(numbers(starts)).toEqual([0, 5, 6, 8]);
      expect(numbers(runs)).toEqual([6, 3, 2, 3, 6, 20, 0, 20]);
      expect(numbers(areas)).toEqual([6, 0, 20]);
    }));

  test('the window of all boxes', () =>
    scope(async () => {
      const places = float32([2.5, 3, 6, 7.5, -4, 9, 1, 12], [2, 4]);
      expect(await pasteWindow(places, { height: 11, width: 20 })).toEqual({
        top: 2,
        bottom: 11,
        left: 0,
        right: 7,
      });
      expect(await pasteWindow(zeros([0, 4]), { height: 11, width: 20 })).toEqual({
        top: 0,
        bottom: 0,
        left: 0,
        right: 0,
      });
    }));

  test('no masks give typed, empty results', () =>
    scope(async () => {
      const { runs, starts, areas } = await maskRuns(zeros([0, 28, 28]), zeros([0, 4]), {
        height: 9,
        width: 9,
      });
      expect([runs.dtype, runs.shape, numbers(starts), areas.shape]).toEqual(['int32', [0], [0], [0]]);
    }));

  test('what is refused', () =>
    scope(async () => {
      const masks = zeros([1, 2, 2]);
      const place = zeros([1, 4]);
      expect(await refusal(() => maskRuns(masks, place, { height: 9, width: 9, threshold: 0 }))).toBe(
        'ERR_RANGE: expected a number above 0 for threshold, got 0',
      );
      expect(await refusal(() => maskRuns(masks, place, { height: 9, width: 9, threshold: 1e-60 }))).toBe(
        'ERR_RANGE: expected a number above 0 in float32 for threshold, got 1e-60',
      );
      expect(await refusal(() => maskRuns(masks, place, { height: 65536, width: 65536 }))).toBe(
        'ERR_RANGE: expected at most 2147483647 pixels for height and width, got 4294967296',
      );
      expect(await refusal(() => maskPaste(masks, zeros([2, 4]), { height: 9, width: 9 }))).toBe(
        'ERR_SHAPE: expected 1 boxes for boxes, got [2, 4]',
      );
      expect(await refusal(() => maskPaste(masks, place, { height: -1, width: 9 }))).toBe(
        'ERR_RANGE: expected an integer from 0 to 2147483647 for height, got -1',
      );
    }));
});

describe('boxes and anchors', () => {
  test('decoding undoes encoding', () =>
    scope(async () => {
      const rois = float32([10, 10, 20, 30, 0, 0, 5, 5], [2, 4]);
      const boxes = float32([12, 8, 25, 28, 1, 1, 9, 3], [2, 4]);
      const stds = [0.1, 0.1, 0.2, 0.2] as const;
      const deltas = await bbox2delta(rois, boxes, { stds });
      const back = numbers(await delta2bbox(rois, deltas, { stds }));
      numbers(boxes).forEach((value, i) => {
        expect(back[i]).toBeCloseTo(value, 4);
      });
      const clipped = await delta2bbox(rois, deltas, { stds, maxShape: [20, 22] });
      expect(numbers(clipped)[2]).toBe(22);
      expect(numbers(clipped)[3]).toBe(20);
    }));

  test('16-bit boxes are decoded in float32', () =>
    scope(async () => {
      const roi = float32([1000, 1000, 1100, 1100], [1, 4]).to('bfloat16');
      const deltas = float32([0.01, 0.02, 0, 0], [1, 4]).to('bfloat16');
      const boxes = await delta2bbox(roi, deltas);
      expect(boxes.dtype).toBe('float32');
      const [x, y] = numbers(boxes) as [number, number];
      expect([Math.abs(x - 1001.04) < 0.01, Math.abs(y - 1002.08) < 0.01]).toEqual([true, true]);
    }));

  test('a map without rows has no anchors, however long they would be', () =>
    scope(async () => {
      const none = await gridAnchors(zeros([3, 4]), { height: 0, width: 2 ** 31 - 1, stride: 4 });
      expect(none.shape).toEqual([0, 4]);
    }));

  test('anchors by row, column and ratio', () =>
    scope(async () => {
      const base = await baseAnchors({ baseSize: 4, scales: [2], ratios: [1, 4] });
      expect(numbers(base)).toEqual([-4, -4, 4, 4, -2, -8, 2, 8]);
      const grid = await gridAnchors(base, { height: 2, width: 1, stride: [8, 16] });
      expect(numbers(grid)).toEqual([-4, -4, 4, 4, -2, -8, 2, 8, -4, 12, 4, 20, -2, 8, 2, 24]);
      expect(octaveScales(4, 2)).toEqual([4, 4 * Math.SQRT2]);
    }));

  test('what is refused', () =>
    scope(async () => {
      expect(await refusal(() => baseAnchors({ baseSize: 0 }))).toBe(
        'ERR_RANGE: expected a number above 0 for baseSize, got 0',
      );
      expect(
        await refusal(() => gridAnchors(zeros([3, 4]), { height: 65536, width: 65536, stride: 4 })),
      ).toBe('ERR_RANGE: expected at most 2^31 - 1 anchors for height and width, got 12884901888');
      expect(await refusal(() => delta2bbox(zeros([2, 4]), zeros([3, 4])))).toBe(
        'ERR_SHAPE: expected shape [2, 4 * C] for deltas, got [3, 4]',
      );
      expect(await refusal(() => delta2bbox(zeros([2, 4]), zeros([2, 4]), { stds: [1, 1, 0, 1] }))).toBe(
        'ERR_RANGE: expected numbers other than 0 for stds, got [1, 1, 0, 1]',
      );
    }));
});

test('nothing stays behind', async () => {
  const before = memoryStats();
  await scope(async () => {
    await nms(zeros([3, 4]), zeros([3]));
    await pasteWindow(zeros([3, 4]), { height: 5, width: 5 });
  });
  expectNothingLeft(before);
});
