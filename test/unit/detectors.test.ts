import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { memoryStats, scope, type Tensor, tensor } from '../../lib';
import type { DetectorNeckOptions, DetectorOptions } from '../../lib/modules/detector-options';
import {
  COCO_PREPROCESS,
  type DetectorOutput,
  FasterRcnn,
  MaskRcnn,
  PanopticFpn,
} from '../../lib/modules/two-stage-detector';
import { collectGarbage, expectNothingLeft } from '../collect-garbage';
import { errorOf, map } from './synthetic';

beforeAll(collectGarbage);

const NECK: DetectorNeckOptions = { outChannels: 32, compressRatio: 4 };
const SMALL: DetectorOptions = {
  backbone: { depth: 18, baseChannels: 8 },
  neck: NECK,
  roiHead: { bboxHead: { fcOutChannels: 32, numClasses: 5 } },
};
const MASKED: DetectorOptions = {
  ...SMALL,
  roiHead: { ...SMALL.roiHead, maskHead: { convOutChannels: 16, numConvs: 2 } },
};
const PANOPTIC: DetectorOptions = {
  ...MASKED,
  semanticHead: { numStuffClasses: 3, innerChannels: 16, normGroups: 4 },
};
// What untrained heads say of a region is about as likely for every class.
const FEW = { rpn: { maxPerImg: 50 }, rcnn: { maxPerImg: 12 }, panoptic: { scoreThr: 0.1, maxPerImg: 12 } };
const TINY = { ...COCO_PREPROCESS, resize: { mode: 'keep-ratio', scale: [128, 96] } } as const;

/** A picture of soft blobs. */
function photo(height: number, width: number): Tensor<'uint8'> {
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => {
    const [y, x] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width];
    return 127 + 60 * Math.sin(y / 9 + (i % 3)) + 60 * Math.cos(x / 13 - (i % 3));
  });
  return tensor(pixels, [height, width, 3], { dtype: 'uint8' });
}

const list = (values: Tensor) => Array.from(values.dataSync() as ArrayLike<number | bigint>, Number);

/** A mask's pixels, row by row, from its run lengths. */
function pixels(
  { maskRuns, maskStarts }: DetectorOutput,
  k: number,
  height: number,
  width: number,
): Uint8Array {
  const [runs, starts] = [list(maskRuns!), list(maskStarts!)];
  const mask = new Uint8Array(height * width);
  let at = 0;
  for (const [i, run] of runs.slice(starts[k], starts[k + 1]).entries()) {
    for (const end = at + run; at < end; at += 1)
      mask[(at % height) * width + Math.floor(at / height)] = i % 2;
  }
  expect(at).toBe(height * width);
  return mask;
}

function expectSound(output: DetectorOutput, height: number, width: number, classes = 5): void {
  const [boxes, scores, labels] = [list(output.boxes), list(output.scores), list(output.labels)];
  expect(output.boxes.shape).toEqual([scores.length, 4]);
  expect([output.boxes.dtype, output.scores.dtype, output.labels.dtype]).toEqual([
    'float32',
    'float32',
    'int64',
  ]);
  expect(labels).toHaveLength(scores.length);
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  expect(scores.every((score) => score > 0 && score <= 1)).toBe(true);
  expect(labels.every((label) => Number.isInteger(label) && label >= 0 && label < classes)).toBe(true);
  for (let k = 0; k < scores.length; k += 1) {
    const [x1, y1, x2, y2] = boxes.slice(4 * k, 4 * k + 4) as [number, number, number, number];
    expect(0 <= x1 && x1 <= x2 && x2 <= width * 1.0001).toBe(true);
    expect(0 <= y1 && y1 <= y2 && y2 <= height * 1.0001).toBe(true);
  }
}

describe('published models', () => {
  const groupsOf: Record<string, DetectorNeckOptions> = {
    faster_rcnn_r101_freqfusion: { featureResampleGroup: 8 },
    panoptic_fpn_r50_freqfusion: { featureResampleNorm: false },
  };
  test.each([
    ['faster_rcnn_r50_freqfusion', 444],
    ['faster_rcnn_r101_freqfusion', 750],
    ['mask_rcnn_r50_freqfusion', 456],
    ['mask_rcnn_r101_freqfusion', 762],
    ['panoptic_fpn_r50_freqfusion', 463],
    ['panoptic_fpn_r101_freqfusion', 785],
  ])('%s has the %i entries of the published state dict, in order', (name, entries) => {
    const file = join(__dirname, '..', 'goldens', 'manifests', `${name}.json`);
    const published = JSON.parse(readFileSync(file, 'utf8')) as {
      state_dict: unknown[];
      total_parameters: number;
    };
    const options: DetectorOptions = {
      backbone: { depth: name.includes('r101') ? 101 : 50 },
      neck: groupsOf[name] ?? {},
    };
    const Detector = name.startsWith('faster')
      ? FasterRcnn
      : name.startsWith('mask')
        ? MaskRcnn
        : PanopticFpn;
    using model = new Detector(options);
    expect(model.stateInfo()).toEqual(published.state_dict);
    expect(model.stateInfo()).toHaveLength(entries);
    expect(model.parameterCount).toBe(published.total_parameters);
  });
});

describe('detect', () => {
  test('given a photo, then boxes lie in it, best first', async () => {
    using model = await new FasterRcnn(SMALL).initialize(1);
    const [output] = await model.detect([photo(75, 50)], { preprocess: TINY, testCfg: FEW });
    expectSound(output!, 75, 50);
    expect(output!.scores.shape).toEqual([12]);
    expect(Object.keys(output!)).toEqual(['boxes', 'scores', 'labels']);
  });

  test('given a batch of different sizes, then every image has the result that it has alone', async () => {
    using model = await new PanopticFpn(PANOPTIC).initialize(1);
    const images = [photo(75, 50), photo(40, 90), photo(75, 50), photo(33, 33)];
    const options = { preprocess: TINY, testCfg: FEW };
    const together = await model.detect(images, options);
    expect(together).toHaveLength(4);
    for (const [i, image] of images.entries()) {
      const [alone] = await model.detect([image], options);
      const [height, width] = image.shape as [number, number, number];
      expectSound(together[i]!, height, width);
      expect(list(together[i]!.labels)).toEqual(list(alone!.labels));
      for (const [k, side] of list(together[i]!.boxes).entries()) {
        expect(side).toBeCloseTo(list(alone!.boxes)[k]!, 2);
      }
      const map = list(together[i]!.panoptic!);
      const differing = map.filter((id, at) => id !== list(alone!.panoptic!)[at]).length;
      expect(differing / map.length).toBeLessThan(0.01);
    }
    expect(await model.detect([])).toEqual([]);
  });

  test('given a mask head, then masks are COCO run lengths over the original image', async () => {
    using model = await new MaskRcnn(MASKED).initialize(2);
    const [output] = await model.detect([photo(60, 44)], { preprocess: TINY, testCfg: FEW });
    expectSound(output!, 60, 44);
    const [boxes, areas] = [list(output!.boxes), list(output!.maskAreas!)];
    expect(areas).toHaveLength(output!.scores.shape[0]!);
    for (const [k, area] of areas.entries()) {
      const mask = pixels(output!, k, 60, 44);
      expect(mask.reduce((sum, value) => sum + value, 0)).toBe(area);
      const [x1, y1, x2, y2] = boxes.slice(4 * k, 4 * k + 4) as [number, number, number, number];
      mask.forEach((value, at) => {
        const [y, x] = [Math.floor(at / 44) + 0.5, (at % 44) + 0.5];
        if (value === 1) expect(x > x1 - 2 && x < x2 + 2 && y > y1 - 2 && y < y2 + 2).toBe(true);
      });
    }
  });

  test('given a panoptic model, then every pixel has one id that is an instance, stuff or void', async () => {
    using model = await new PanopticFpn(PANOPTIC).initialize(1);
    const [output] = await model.detect([photo(75, 50)], { preprocess: TINY, testCfg: FEW });
    expect(output!.panoptic!.shape).toEqual([75, 50]);
    expect(output!.panoptic!.dtype).toBe('int32');
    for (const id of new Set(list(output!.panoptic!))) {
      const [kind, instance] = [id % 1000, Math.floor(id / 1000)];
      expect(instance > 0 ? kind < 5 : kind >= 5 && kind <= 8).toBe(true);
    }
  });

  test.each([
    [1, 1],
    [1, 300],
    [257, 3],
  ])('given an image of %i x %i, then the results have its size', async (height, width) => {
    using model = await new PanopticFpn(PANOPTIC).initialize(1);
    const [output] = await model.detect([photo(height, width)], { preprocess: TINY, testCfg: FEW });
    expectSound(output!, height, width);
    expect(output!.panoptic!.shape).toEqual([height, width]);
  });

  test('given nothing above the threshold, then the results are empty and typed', async () => {
    using model = await new PanopticFpn(PANOPTIC).initialize(1);
    const [output] = await model.detect([photo(20, 30)], {
      preprocess: TINY,
      testCfg: { panoptic: { scoreThr: 1, stuffAreaLimit: 0 } },
    });
    const described = Object.entries(output!).map(([name, { dtype, shape }]) => [name, dtype, ...shape]);
    expect(described).toEqual([
      ['boxes', 'float32', 0, 4],
      ['scores', 'float32', 0],
      ['labels', 'int64', 0],
      ['maskRuns', 'int32', 0],
      ['maskStarts', 'int64', 1],
      ['maskAreas', 'int64', 0],
      ['panoptic', 'int32', 20, 30],
    ]);
    expect(list(output!.panoptic!).every((id) => id >= 5 && id <= 8)).toBe(true);
  });

  test('given weights that are not numbers, then nothing is detected and nothing fails', async () => {
    using model = await new PanopticFpn(PANOPTIC).initialize(1);
    const broken = (name: string) => ({ [name]: tensor(new Float32Array(32).fill(Number.NaN), [32]) });
    for (const name of [
      'rpn_head.rpn_conv.bias',
      'roi_head.bbox_head.shared_fcs.1.bias',
      'neck.fpn_convs.1.conv.bias',
    ]) {
      await model.initialize(1);
      await model.loadStateDict(broken(name), { strict: false });
      const [output] = await model.detect([photo(40, 60)], { preprocess: TINY, testCfg: FEW });
      expectSound(output!, 40, 60);
      expect(output!.panoptic!.shape).toEqual([40, 60]);
    }
  });

  test('test settings of a call go before the detector’s own, which go before the defaults', async () => {
    using model = await new FasterRcnn({ ...SMALL, testCfg: { rcnn: { maxPerImg: 7 } } }).initialize(1);
    const counts = async (testCfg: object) =>
      (await model.detect([photo(75, 50)], { preprocess: TINY, testCfg }))[0]!.scores.shape[0];
    expect(await counts({})).toBe(7);
    expect(await counts({ rcnn: { maxPerImg: 3 } })).toBe(3);
    expect(await counts({ rpn: { maxPerImg: 1 }, rcnn: { classAgnosticNms: true } })).toBe(1);
    expect(await counts({ rcnn: { scoreThr: 0.9 } })).toBe(0);
  });

  test('nothing stays behind', async () => {
    const before = memoryStats();
    await scope(async () => {
      const model = await new MaskRcnn(MASKED).initialize(1);
      await model.detect([photo(30, 40), photo(20, 20)], { preprocess: TINY, testCfg: FEW });
    });
    expectNothingLeft(before);
  });
});

describe('forward', () => {
  test('given stages, then they come by name in the order of the computation', async () => {
    using model = await new PanopticFpn(PANOPTIC).initialize(1);
    const { outputs, stages } = await model.forward(
      { image: map('image', [1, 3, 64, 128]) },
      { stages: true, testCfg: FEW },
    );
    expect(outputs).toHaveLength(1);
    expect(Object.keys(stages).join(' ')).toBe(
      'c2 c3 c4 c5 p2 p3 p4 p5 p6 rpnCls0 rpnReg0 rpnCls1 rpnReg1 rpnCls2 rpnReg2 rpnCls3 rpnReg3 rpnCls4 rpnReg4 ' +
        'semLogits proposalBoxes0 proposalScores0 semFull0 roiFeats clsScore bboxPred maskFeats maskLogitsAll maskLogits',
    );
    expect(stages.semFull0!.shape).toEqual([1, 4, 64, 128]);
  });

  test('given metas, then boxes come in the original’s coordinates, and without rescale in the input’s', async () => {
    using model = await new FasterRcnn(SMALL).initialize(1);
    const inputs = {
      image: map('image', [1, 3, 64, 128]),
      metas: [{ imgShape: [60, 120], oriShape: [30, 40] }],
    };
    const { outputs } = await model.forward(inputs, { testCfg: FEW });
    const plain = await model.forward(inputs, { testCfg: FEW, rescale: false });
    expectSound(outputs[0]!, 30, 40);
    expectSound(plain.outputs[0]!, 60, 120);
  });

  test('an image that the neck cannot halve is refused with the sizes', async () => {
    using model = await new FasterRcnn(SMALL).initialize(1);
    const error = await errorOf(() => model.forward({ image: map('image', [1, 3, 64, 160]) }));
    expect(error.code).toBe('ERR_SHAPE');
  });
});

describe('options', () => {
  test.each([
    [{ testCfg: { rcnn: { scoreThreshold: 1 } } }, 'ERR_OPTION_UNKNOWN', /scoreThr/],
    [{ testCfg: { rcnn: { scoreThr: 2 } } }, 'ERR_OPTION_VALUE', /scoreThr/],
    [{ testCfg: { rpn: { nmsPre: 0 } } }, 'ERR_OPTION_VALUE', /nmsPre/],
    [{ testCfg: { panoptic: { maskThrBinary: 0 } } }, 'ERR_OPTION_VALUE', /maskThrBinary/],
    [{ roiHead: { maskHead: {} } }, 'ERR_OPTION_VALUE', /maskHead/],
    [{ semanticHead: {} }, 'ERR_OPTION_VALUE', /semanticHead/],
    [{ rpnHead: { anchorGenerator: { strides: [4, 8] } } }, 'ERR_OPTION_VALUE', /strides/],
    [{ rpnHead: { bboxCoder: { targetStds: [1] } } }, 'ERR_OPTION_VALUE', /targetStds/],
    [{ roiHead: { bboxHead: { numClasses: 0 } } }, 'ERR_OPTION_VALUE', /numClasses/],
    [{ roiHead: { bboxRoiExtractor: { outputSize: 0 } } }, 'ERR_OPTION_VALUE', /outputSize/],
    [{ backbone: { depth: 51 } }, 'ERR_OPTION_VALUE', /depth/],
    [{ testCfg: { rcnn: { maskThrBinary: 1e-60 } } }, 'ERR_OPTION_VALUE', /maskThrBinary/],
  ])('%j is refused by name', async (options, code, message) => {
    const error = await errorOf(() => new FasterRcnn({ ...SMALL, ...options } as DetectorOptions));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  const fewer = { ...NECK, numOuts: 3 };
  const strides = { anchorGenerator: { strides: [4, 8, 16] } };
  const read = { featmapStrides: [4, 8, 16] };
  const masks = (change: object) => ({
    roiHead: { ...PANOPTIC.roiHead, maskHead: { ...PANOPTIC.roiHead!.maskHead, ...change } },
  });
  test.each([
    [
      {
        backbone: { ...PANOPTIC.backbone, outIndices: [0, 1, 2] },
        neck: fewer,
        rpnHead: strides,
        roiHead: { ...PANOPTIC.roiHead, bboxRoiExtractor: read, maskRoiExtractor: read },
      },
      /4 or more.* for neck\.numOuts, got 3/,
    ],
    [masks({ numClasses: 4 }), /expected 5, the box head's classes for maskHead\.numClasses, got 4/],
    [
      { semanticHead: { ...PANOPTIC.semanticHead, numStuffClasses: 995 } },
      /at most 999 things and stuff together for numStuffClasses, got 5 and 995/,
    ],
  ])('parts that do not fit each other are refused: %j', async (options, message) => {
    const error = await errorOf(() => new PanopticFpn({ ...PANOPTIC, ...options } as DetectorOptions));
    expect(error.code).toBe('ERR_OPTION_VALUE');
    expect(error.message).toMatch(message);
  });

  test('as many classes as ids tell apart are taken', () => {
    using model = new PanopticFpn({
      ...PANOPTIC,
      semanticHead: { ...PANOPTIC.semanticHead, numStuffClasses: 994 },
    });
    expect(model.disposed).toBe(false);
  });

  test('a detector takes images alone', async () => {
    using model = await new FasterRcnn(SMALL).initialize(1);
    expect((await errorOf(() => model.detect(photo(4, 4) as never))).code).toBe('ERR_TYPE');
    expect((await errorOf(() => model.detect([map('x', [1, 3, 64, 64]) as never]))).code).toBe('ERR_SHAPE');
    expect((await errorOf(() => model.forward({ image: map('x', [1, 4, 64, 64]) }))).code).toBe('ERR_SHAPE');
  });
});
