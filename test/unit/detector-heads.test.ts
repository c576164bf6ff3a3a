import { type Tensor, tensor } from '../../lib';
import { type PyramidMaps, RoiHead, RpnHead, SemanticFpnHead } from '../../lib/modules/detector-heads';
import type { UpsampleConfig } from '../../lib/modules/fpn';
import { panopticFusion } from '../../lib/ops/panoptic-fusion';
import { errorOf, map } from './synthetic';

const list = (values: Tensor) => Array.from(values.dataSync() as ArrayLike<number | bigint>, Number);

/** Maps p2, p3, ... of `levels` levels, the finest of `side` x `side`. */
function pyramid(levels: number, side: number, channels = 8, batch = 1): PyramidMaps {
  return Object.fromEntries(
    Array.from({ length: levels }, (_, i) => [
      `p${i + 2}`,
      map(`p${i + 2}`, [batch, channels, side >> i, side >> i]),
    ]),
  );
}

describe('RpnHead', () => {
  test('given equal scores, then the first anchors of every level are taken, in the order of the levels', async () => {
    // A head without weights gives every anchor the score 1/2 and leaves it where it is.
    using head = new RpnHead({
      inChannels: 8,
      featChannels: 8,
      anchorGenerator: { ratios: [1], strides: [4, 8, 16] },
    });
    const { proposals } = await head.forward(pyramid(3, 16), { testCfg: { nmsPre: 2, nmsIouThreshold: 1 } });
    expect(list(proposals[0]!.scores)).toEqual([0.5, 0.5, 0.5, 0.5, 0.5, 0.5]);
    // Anchors of 8 strides a side around (0, 0) and (stride, 0), cut at the image's edge.
    expect(list(proposals[0]!.boxes)).toEqual(
      [4, 8, 16].flatMap((stride) => [
        0,
        0,
        Math.min(4 * stride, 64),
        Math.min(4 * stride, 64),
        0,
        0,
        Math.min(5 * stride, 64),
        Math.min(4 * stride, 64),
      ]),
    );
  });

  test('given metas, then proposals end at the image, not at the padding', async () => {
    using head = await new RpnHead({ inChannels: 8, featChannels: 8 }).initialize(3);
    const { proposals } = await head.forward(pyramid(5, 32, 8, 2), {
      metas: [{ imgShape: [100, 120] }, { imgShape: [128, 40] }],
      testCfg: { maxPerImg: 30 },
    });
    for (const [i, [height, width]] of [
      [100, 120],
      [128, 40],
    ].entries()) {
      const boxes = list(proposals[i]!.boxes);
      expect(boxes.length).toBeGreaterThan(0);
      expect(Math.max(...boxes.filter((_, k) => k % 2 === 0))).toBe(width);
      expect(Math.max(...boxes.filter((_, k) => k % 2 === 1))).toBe(height);
    }
  });

  test('a level that is missing is named', async () => {
    using head = new RpnHead({ inChannels: 8 });
    const error = await errorOf(() => head.forward(pyramid(4, 16)));
    expect([error.code, error.message]).toEqual(['ERR_TYPE', expect.stringContaining('p6')]);
  });
});

describe('RoiHead', () => {
  const OPTIONS = { bboxHead: { inChannels: 8, fcOutChannels: 16, numClasses: 3 } };
  const boxes = tensor(new Float32Array([2, 3, 40, 50, 10, 10, 60, 30]), [2, 4]);

  test('given no proposals, then everything is empty and typed', async () => {
    using head = await new RoiHead({
      ...OPTIONS,
      maskHead: { inChannels: 8, convOutChannels: 8, numConvs: 1 },
    }).initialize(1);
    const proposals = tensor(new Float32Array(0), [0, 4]);
    const found = await head.forward({ ...pyramid(4, 16), proposals });
    expect(Object.entries(found).map(([name, { dtype, shape }]) => [name, dtype, ...shape])).toEqual([
      ['boxes', 'float32', 0, 4],
      ['scores', 'float32', 0],
      ['labels', 'int64', 0],
      ['maskLogits', 'float32', 0, 28, 28],
    ]);
  });

  test('the logits of a detection’s own class are those of the whole set', async () => {
    using head = await new RoiHead({
      ...OPTIONS,
      maskHead: { inChannels: 8, convOutChannels: 8, numConvs: 1 },
    }).initialize(1);
    const found = await head.forward({ ...pyramid(4, 16), proposals: boxes }, { stages: true });
    const [own, all, labels] = [found.maskLogits!, found.stages.maskLogitsAll!, list(found.labels)];
    expect(all.shape).toEqual([labels.length, 3, 28, 28]);
    const [left, right] = [list(own), list(all)];
    for (const [k, label] of labels.entries()) {
      for (let i = 0; i < 784; i += 97) {
        expect(left[k * 784 + i]).toBeCloseTo(right[(k * 3 + label) * 784 + i]!, 5);
      }
    }
  });

  const upsamplers: [string, UpsampleConfig][] = [
    ['carafe', { type: 'carafe', compressedChannels: 8 }],
    ['nearest', { type: 'nearest' }],
    ['bilinear', { type: 'bilinear' }],
  ];
  test.each(upsamplers)('masks are upsampled by %s as by deconvolution', async (_name, upsampleCfg) => {
    using head = await new RoiHead({
      ...OPTIONS,
      maskHead: { inChannels: 8, convOutChannels: 8, numConvs: 1, upsampleCfg },
    }).initialize(1);
    const { maskLogits } = await head.forward({ ...pyramid(4, 16), proposals: boxes });
    expect(maskLogits!.shape.slice(1)).toEqual([28, 28]);
    expect(list(maskLogits!).every(Number.isFinite)).toBe(true);
  });

  test('one box for all classes and one mask for all classes', async () => {
    using head = await new RoiHead({
      bboxHead: { ...OPTIONS.bboxHead, regClassAgnostic: true },
      maskHead: { inChannels: 8, convOutChannels: 8, numConvs: 1, classAgnostic: true },
    }).initialize(1);
    const found = await head.forward({ ...pyramid(4, 16), proposals: boxes }, { stages: true });
    expect(found.stages.bboxPred!.shape).toEqual([2, 4]);
    expect(found.stages.maskLogitsAll!.shape[1]).toBe(1);
    expect(found.boxes.shape[0]).toBe(6);
  });
});

describe('SemanticFpnHead', () => {
  test('given levels of other sizes than halves, then they are refused', async () => {
    using head = await new SemanticFpnHead({ inChannels: 8, innerChannels: 8, normGroups: 2 }).initialize(1);
    const levels = { ...pyramid(4, 16), p3: map('p3', [1, 8, 7, 8]) };
    expect((await errorOf(() => head.forward(levels))).code).toBe('ERR_SHAPE');
  });
});

describe('panopticFusion', () => {
  const float = (values: readonly number[], shape: readonly number[]) =>
    tensor(Float32Array.from(values), shape);
  const labels = (values: readonly number[]) => tensor(BigInt64Array.from(values, BigInt), [values.length]);
  const OPTIONS = { numThingsClasses: 3, numStuffClasses: 2, stuffAreaLimit: 0 };
  // Columns 0 and 1 are stuff 0, column 2 is stuff 1, column 3 is things.
  const semantic = float(
    [0, 1, 2].flatMap((kind) => [0, 0, 1, 2].map((column) => Number(column === kind))).flatMap((v) => [v]),
    [3, 1, 4],
  );

  test('better instances lie over others, and what is covered too much is left out', async () => {
    const masks = float([1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0], [3, 1, 4]);
    const inputs = { scores: float([0.5, 0.9, 0.7], [3]), labels: labels([0, 1, 2]), masks, semantic };
    // By score: 1 takes columns 1 to 3; 2 takes column 0; nothing is left of 0.
    const { panoptic, pasted } = await panopticFusion(inputs, OPTIONS);
    expect(list(panoptic)).toEqual([2002, 1001, 1001, 1001]);
    expect(list(pasted)).toEqual([1, 2]);
    // With half of it covered, it stays: but no pixel of it is free.
    const both = await panopticFusion(inputs, { ...OPTIONS, maskOverlap: 1 });
    expect(list(both.pasted)).toEqual([1, 2, 0]);
    expect(list(both.panoptic)).toEqual([2002, 1001, 1001, 1001]);
  });

  test('stuff follows the things’ classes; small stuff and things without an instance are void', async () => {
    const none = { scores: float([], [0]), labels: labels([]), masks: float([], [0, 1, 4]), semantic };
    expect(list((await panopticFusion(none, OPTIONS)).panoptic)).toEqual([3, 3, 4, 5]);
    const limited = await panopticFusion(none, { ...OPTIONS, stuffAreaLimit: 2 });
    expect(list(limited.panoptic)).toEqual([3, 3, 5, 5]);
  });

  test('wrong inputs are refused by name', async () => {
    const inputs = {
      scores: float([1], [1]),
      labels: labels([3]),
      masks: float([1, 1, 1, 1], [1, 1, 4]),
      semantic,
    };
    const wrong = async (change: object) =>
      (await errorOf(() => panopticFusion({ ...inputs, ...change }, OPTIONS))).code;
    expect(await wrong({})).toBe('ERR_RANGE');
    expect(await wrong({ masks: float([1], [1, 1, 1]) })).toBe('ERR_SHAPE');
    const many = { ...OPTIONS, numStuffClasses: 997 };
    expect((await errorOf(() => panopticFusion(inputs, many))).code).toBe('ERR_OPTION_VALUE');
    expect(await wrong({ scores: float([], [0]) })).toBe('ERR_SHAPE');
    expect(await wrong({ semantic: float([1, 1, 1, 1], [1, 1, 4]) })).toBe('ERR_SHAPE');
  });
});
