import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { saveSafetensors } from '../../lib/checkpoint/save';
import { StateDict } from '../../lib/checkpoint/state-dict';
import type { CocoResult } from '../../lib/coco/results';
import { memoryStats } from '../../lib/device';
import { decodeImage } from '../../lib/image/decode';
import { BUNDLED_FOLDER } from '../../lib/models/architectures';
import type { DetectionModel } from '../../lib/models/detection-model';
import {
  BUNDLED_DETECTOR,
  BUNDLED_DETECTOR_FOLDER,
  DETECTORS,
} from '../../lib/models/detector-architectures';
import { loadModel } from '../../lib/models/load';
import { loadDetector } from '../../lib/models/load-detector';
import { MaskRcnn, PanopticFpn } from '../../lib/modules/two-stage-detector';
import { collectGarbage, expectNothingLeft } from '../collect-garbage';

const WEIGHTS = join(BUNDLED_DETECTOR_FOLDER, 'shapes_mask_rcnn_r18_freqfusion.pth');
const PICTURE = join(BUNDLED_DETECTOR_FOLDER, 'val', 'picture_00.png');

let folder: string;
let model: DetectionModel;
beforeAll(async () => {
  await collectGarbage();
  folder = await mkdtemp(join(tmpdir(), 'freqfusion-detecting-'));
  model = await loadDetector();
});
afterAll(async () => {
  model.dispose();
  await rm(folder, { recursive: true });
});

describe('where a detector comes from', () => {
  test('without a path it is the bundled one', () => {
    expect(model.info).toMatchObject({
      architecture: BUNDLED_DETECTOR,
      task: 'instance-segmentation',
      preprocess: { multiple: { divisor: 64, how: 'pad' } },
      loaded: { missing: [], unexpected: [], mismatched: [] },
    });
    expect(model.classes).toEqual(['circle', 'square', 'triangle', 'star', 'cross']);
    expect(model.things).toBe(5);
    expect(String(model)).toBe('shapes-mask-rcnn-r18-freqfusion, 5 classes, on cpu');
  });

  test('a copy of its file elsewhere is recognised by its keys', async () => {
    const copy = join(folder, 'renamed.pth');
    await copyFile(WEIGHTS, copy);
    using other = await loadDetector(copy);
    expect(other.info).toMatchObject({ architecture: BUNDLED_DETECTOR, preprocess: model.info.preprocess });
    const [a, b] = [await model.detect(PICTURE), await other.detect(PICTURE)];
    expect(b.toCoco(1)).toEqual(a.toCoco(1));
    expect(a.detections.length).toBeGreaterThan(0);
  });

  test('a config of free sizes, with stuff, gives panoptic maps', async () => {
    const options = {
      backbone: { depth: 18, baseChannels: 8 },
      neck: { outChannels: 32, compressRatio: 4 },
      roiHead: {
        bboxHead: { fcOutChannels: 32, numClasses: 2 },
        maskHead: { convOutChannels: 16, numConvs: 1 },
      },
      semanticHead: { numThingsClasses: 2, numStuffClasses: 3, innerChannels: 16, normGroups: 4 },
    } as const;
    using network = await new PanopticFpn(options).initialize(3);
    await saveSafetensors(join(folder, 'free.safetensors'), network.stateDict());
    const config = {
      task: 'panoptic-segmentation',
      network: { kind: 'panoptic_fpn', options },
      preprocess: { resize: { mode: 'keep-ratio', scale: [128, 96] }, multiple: { divisor: 64, how: 'pad' } },
      classes: ['one', 'two', 'sky', 'sea', 'land'],
      checkpoint: { file: 'free.safetensors' },
    };
    await writeFile(join(folder, 'config.json'), JSON.stringify(config));
    using detector = await loadDetector(folder);
    expect([detector.things, detector.classes, detector.palette.length]).toEqual([2, config.classes, 5]);
    const result = await detector.detect(PICTURE, { scoreThreshold: 0 });
    const { panoptic } = result;
    expect(panoptic!.ids).toHaveLength(result.width * result.height);
    const area = panoptic!.segments.reduce((sum, segment) => sum + segment.area, 0);
    expect(area).toBe(panoptic!.ids.reduce((sum, id) => sum + Number(id !== 0), 0));
    expect((await result.overlay(PICTURE)).subarray(1, 4).toString()).toBe('PNG');
  });

  test('each loader names the other', async () => {
    const other = [
      [() => loadModel(WEIGHTS), 'ERR_MODEL_ARCHITECTURE', 'loadDetector (freqfusion detect) takes it'],
      [
        () => loadModel(BUNDLED_DETECTOR_FOLDER),
        'ERR_MODEL_CONFIG',
        'loadDetector (freqfusion detect) takes it',
      ],
      [
        () => loadDetector(join(BUNDLED_FOLDER, 'layout_segnext_nano_freqfusion.pth')),
        'ERR_MODEL_ARCHITECTURE',
        'loadModel (freqfusion segment) takes it',
      ],
      [() => loadDetector(BUNDLED_FOLDER), 'ERR_MODEL_CONFIG', 'loadModel (freqfusion segment) takes it'],
    ] as const;
    for (const [load, code, message] of other) {
      await expect(load()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    }
  });

  test('another number of classes than the config has is no matter, in the mask head neither', async () => {
    const { config } = await DETECTORS.bundled();
    const { roiHead, ...rest } = config.network.options;
    const three = {
      ...rest,
      roiHead: {
        bboxHead: { ...roiHead!.bboxHead, numClasses: 3 },
        maskHead: { ...roiHead!.maskHead, numClasses: 3 },
      },
    };
    using network = await new MaskRcnn(three).initialize(4);
    const file = join(folder, 'three.safetensors');
    await saveSafetensors(file, network.stateDict());
    for (const architecture of [BUNDLED_DETECTOR, undefined]) {
      using detector = await loadDetector(file, architecture === undefined ? {} : { architecture });
      expect(detector.info.architecture).toBe(BUNDLED_DETECTOR);
      expect([detector.things, detector.classes]).toEqual([3, ['class 0', 'class 1', 'class 2']]);
      expect(detector.info.loaded.mismatched).toEqual([]);
    }
  });

  test('a named architecture is loaded against, where the file alone would tell none', async () => {
    using network = new MaskRcnn((await DETECTORS.bundled()).config.network.options);
    const gone = /^roi_head\.bbox_head\.(fc_cls|fc_reg)\.|^backbone\.layer2\.1\./;
    const kept = [...network.stateDict()].filter(({ name }) => !gone.test(name));
    const file = join(folder, 'part.safetensors');
    await saveSafetensors(file, new StateDict(kept));
    await expect(loadDetector(file)).rejects.toMatchObject({ code: 'ERR_MODEL_ARCHITECTURE' });
    const architecture = BUNDLED_DETECTOR;
    await expect(loadDetector(file, { architecture })).rejects.toMatchObject({
      code: 'ERR_STATE_KEYS',
      message: expect.stringContaining('backbone.layer2.1.conv1.weight'),
    });
    using detector = await loadDetector(file, { architecture, strict: false });
    expect(detector.info.loaded.missing).toContain('roi_head.bbox_head.fc_reg.bias');
    expect(detector.classes).toHaveLength(5);
  });

  test('another architecture than the checkpoint has is a matter of keys', async () => {
    await expect(loadDetector(WEIGHTS, { architecture: 'faster-rcnn-r50-freqfusion' })).rejects.toMatchObject(
      {
        code: 'ERR_STATE_KEYS',
      },
    );
  });

  test.each([
    [{ architecture: 'mask-rcnn-r50-freqfusion' }, 'ERR_MODEL_CHECKPOINT'],
    [{ classes: ['a'] }, 'ERR_MODEL_CLASSES'],
    [{ dtype: 'int8' }, 'ERR_DTYPE'],
    [{ border: 'mirror' }, 'ERR_OPTION_VALUE'],
  ])('%j is refused', async (options, code) => {
    await expect(loadDetector(undefined, options as never)).rejects.toMatchObject({ code });
  });
});

describe('images of all kinds', () => {
  test('a batch gives what the images give one by one, and keeps no native memory', async () => {
    const files = [0, 7, 8, 9].map((i) => join(BUNDLED_DETECTOR_FOLDER, 'val', `picture_0${i}.png`));
    const before = memoryStats();
    const alone: CocoResult[][] = [];
    for (const file of files) alone.push((await model.detect(file)).toCoco(1));
    const together: CocoResult[][] = [];
    for await (const { result } of model.detectAll(files, { batch: 4 })) together.push(result!.toCoco(1));
    const rounded = (results: typeof alone) =>
      results.map((list) =>
        list.map(({ bbox, score, category_id: id }) => [
          id,
          score.toFixed(3),
          bbox!.map((v) => v.toFixed(1)),
        ]),
      );
    expect(rounded(together)).toEqual(rounded(alone));
    expectNothingLeft(before);
  });

  test('results lie in the original image, whatever its size', async () => {
    const { data, width, height } = await decodeImage(PICTURE);
    const twice = { data: new Uint8Array(data.length * 4), width: 2 * width, height: 2 * height };
    for (let i = 0; i < twice.data.length; i++) {
      const [pixel, c] = [Math.floor(i / 3), i % 3];
      const [x, y] = [(pixel % twice.width) >> 1, Math.floor(pixel / twice.width) >> 1];
      twice.data[i] = data[3 * (y * width + x) + c]!;
    }
    const [small, large] = [await model.detect(PICTURE), await model.detect(twice)];
    const [a, b] = [small.detections[0]!, large.detections[0]!];
    expect(b.label).toBe(a.label);
    b.box.forEach((side, i) => void expect(Math.abs(side / 2 - a.box[i]!)).toBeLessThan(3));
    expect([b.mask!.width, b.mask!.height]).toEqual([twice.width, twice.height]);
    expect(b.mask!.area / a.mask!.area).toBeCloseTo(4, 0);
  });

  test('one pixel, one row, and a plain colour', async () => {
    for (const [width, height] of [
      [1, 1],
      [300, 1],
      [1, 500],
      [64, 64],
    ] as const) {
      const image = { data: new Uint8Array(3 * width * height).fill(127), width, height };
      const result = await model.detect(image, { scoreThreshold: 0.3 });
      expect(result).toMatchObject({ width, height });
      for (const { box, mask } of result.detections) {
        expect(box[2]).toBeLessThanOrEqual(width + 1e-3);
        expect([mask!.width, mask!.height]).toEqual([width, height]);
      }
      expect((await result.overlay(image)).length).toBeGreaterThan(0);
    }
  });

  test('thresholds', async () => {
    const best = await model.detect(PICTURE, { scoreThreshold: 0.9 });
    expect(best.detections.every(({ score }) => score > 0.9)).toBe(true);
    expect((await model.detect(PICTURE, { maxDetections: 2 })).detections).toHaveLength(2);
    const all = await model.detect(PICTURE);
    expect(all.detections.length).toBeGreaterThan(best.detections.length);
    expect(all.detections.slice(0, best.detections.length).map(({ score }) => score)).toEqual(
      best.detections.map(({ score }) => score),
    );
  });

  test('the truth of the picture is among what is found', async () => {
    const truth = JSON.parse(
      await readFile(join(BUNDLED_DETECTOR_FOLDER, 'val', 'annotations.json'), 'utf8'),
    ) as {
      images: { id: number; file_name: string }[];
      annotations: { image_id: number; category_id: number; bbox: number[] }[];
    };
    const { id } = truth.images.find(({ file_name: name }) => name === 'picture_00.png')!;
    const result = await model.detect(PICTURE, { scoreThreshold: 0.5 });
    const wanted = truth.annotations.filter(({ image_id: image }) => image === id);
    const found = wanted.filter(({ category_id: category, bbox }) =>
      result.toCoco(id).some((each) => each.category_id === category && overlap(each.bbox!, bbox) > 0.5),
    );
    expect(found.length / wanted.length).toBeGreaterThan(0.7);
  });
});

function overlap(a: readonly number[], b: readonly number[]): number {
  const [ax, ay, aw, ah] = a as [number, number, number, number];
  const [bx, by, bw, bh] = b as [number, number, number, number];
  const width = Math.max(0, Math.min(ax + aw, bx + bw) - Math.max(ax, bx));
  const height = Math.max(0, Math.min(ay + ah, by + bh) - Math.max(ay, by));
  return (width * height) / (aw * ah + bw * bh - width * height);
}
