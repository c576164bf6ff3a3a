import { memoryStats } from '../../lib/device';
import { AbortError, ArgumentError } from '../../lib/errors';
import { DetectionModel, type DetectorNetwork } from '../../lib/models/detection-model';
import type { DetectionTask } from '../../lib/models/detector-config';
import {
  COCO_PREPROCESS,
  type DetectorDetectOptions,
  type DetectorOutput,
} from '../../lib/modules/two-stage-detector';
import { type Tensor, tensor } from '../../lib/tensor';
import { collectGarbage, expectNothingLeft } from '../collect-garbage';

beforeAll(collectGarbage);

/** A network that finds one object in every image, as wide as it and labelled by its height. */
class FakeNetwork implements DetectorNetwork {
  disposed = false;
  readonly batches: number[][] = [];
  readonly options: DetectorDetectOptions[] = [];

  constructor(readonly found = 1) {}

  async detect(
    images: readonly Tensor<'uint8'>[],
    options: DetectorDetectOptions = {},
  ): Promise<DetectorOutput[]> {
    this.batches.push(images.map(({ shape }) => shape[1]!));
    this.options.push(options);
    if (options.signal?.aborted) throw new AbortError('ERR_ABORTED', 'the job was cancelled');
    // Stands for an image that the network cannot take, alone or among others.
    if (images.some(({ shape }) => shape[1] === 13)) throw new ArgumentError('ERR_SHAPE', 'unlucky');
    return images.map(({ shape }) => this.#output(shape[0]!, shape[1]!));
  }

  #output(height: number, width: number): DetectorOutput {
    const { found } = this;
    return {
      boxes: tensor(
        new Float32Array(4 * found).map((_, i) => [0, 0, width, height][i % 4]!),
        [found, 4],
      ),
      scores: tensor(new Float32Array(found).fill(0.5), [found]),
      labels: tensor(new BigInt64Array(found).fill(BigInt(height)), [found]),
      maskRuns: tensor(
        new Int32Array(2 * found).map((_, i) => (i % 2 === 0 ? 1 : height * width - 1)),
        [2 * found],
      ),
      maskStarts: tensor(
        new BigInt64Array(found + 1).map((_, i) => BigInt(2 * i)),
        [found + 1],
      ),
      maskAreas: tensor(new BigInt64Array(found).fill(BigInt(height * width - 1)), [found]),
      panoptic: tensor(new Int32Array(height * width).fill(4), [height, width]),
    };
  }

  dispose(): void {
    this.disposed = true;
  }
}

function model(
  network = new FakeNetwork(),
  task: DetectionTask = 'instance-segmentation',
): DetectionModel<FakeNetwork> {
  return new DetectionModel({
    network,
    classes: ['a', 'b', 'c', 'd', 'e'],
    palette: [],
    things: 3,
    info: {
      architecture: 'fake',
      description: undefined,
      parameters: 0,
      checkpoint: 'none',
      format: 'none',
      device: 'cpu',
      dtype: 'float32',
      loaded: { missing: [], unexpected: [], mismatched: [], renamed: [] } as never,
      task,
      preprocess: COCO_PREPROCESS,
    },
  });
}

const picture = (width: number, height = 2) => ({ data: new Uint8Array(width * height * 3), width, height });

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe('detect', () => {
  test('gives detections with masks and the panoptic map, and keeps no native memory', async () => {
    const before = memoryStats();
    const stages: string[] = [];
    const result = await model().detect(picture(3), { onProgress: ({ stage }) => stages.push(stage) });
    expect(result).toMatchObject({ width: 3, height: 2 });
    expect(result.detections[0]).toMatchObject({ box: [0, 0, 3, 2], score: 0.5, label: 2, className: 'c' });
    expect(result.detections[0]!.mask!.area).toBe(5);
    expect(result.panoptic!.segments).toMatchObject([{ className: 'e', isThing: false, area: 6 }]);
    expect(stages).toEqual(['decode', 'inference']);
    expectNothingLeft(before);
    expect(result.timing.total).toBeCloseTo(result.timing.decode + result.timing.inference);
  });

  test('nothing found is an empty list', async () => {
    const result = await model(new FakeNetwork(0)).detect(picture(3));
    expect(result.detections).toEqual([]);
  });

  test('thresholds become test settings of the part that they concern', async () => {
    const given = { scoreThreshold: 0.3, maxDetections: 7, iouThreshold: 0.6, maskThreshold: 0.4 };
    const want = { scoreThr: 0.3, maxPerImg: 7, nmsIouThreshold: 0.6, maskThrBinary: 0.4 };
    for (const [task, testCfg] of [
      ['instance-segmentation', { rcnn: want }],
      ['panoptic-segmentation', { panoptic: want }],
    ] as const) {
      const detector = model(new FakeNetwork(), task);
      await detector.detect(picture(3), given);
      await detector.detect(picture(3));
      expect(detector.network.options.map((options) => options.testCfg)).toEqual([testCfg, {}]);
      expect(detector.network.options[0]!.preprocess).toBe(COCO_PREPROCESS);
    }
  });

  test.each([
    [{ scoreThreshold: 1.5 }, 'ERR_RANGE'],
    [{ maxDetections: 0 }, 'ERR_RANGE'],
    [{ preprocess: { resize: { mode: 'stretch' } } as never }, 'ERR_MODEL_CONFIG'],
    [{ signal: AbortSignal.abort() }, 'ERR_ABORTED'],
  ])('%j is refused', async (options, code) => {
    await expect(model().detect(picture(3), options)).rejects.toMatchObject({ code });
  });

  test('after dispose it says so', async () => {
    const detector = model();
    detector.dispose();
    expect(detector.network.disposed).toBe(true);
    await expect(detector.detect(picture(3))).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
    expect(String(detector)).toBe('fake (disposed)');
  });
});

describe('detectAll', () => {
  test('keeps the order, in batches that the last may not fill', async () => {
    const detector = model();
    const progress: number[] = [];
    const results = await all(
      detector.detectAll(
        [3, 4, 5, 6, 7].map((width) => picture(width)),
        {
          batch: 2,
          onProgress: ({ done }) => progress.push(done),
        },
      ),
    );
    expect(detector.network.batches).toEqual([[3, 4], [5, 6], [7]]);
    expect(results.map(({ index, result, image }) => [index, result!.width, image!.width])).toEqual([
      [0, 3, 3],
      [1, 4, 4],
      [2, 5, 5],
      [3, 6, 6],
      [4, 7, 7],
    ]);
    expect(progress).toEqual([1, 2, 3, 4, 5]);
  });

  test('an image that fails takes none of its batch with it', async () => {
    const before = memoryStats();
    const detector = model();
    const inputs = [picture(3), picture(13), new Uint8Array([1, 2, 3]), picture(5)];
    const results = await all(detector.detectAll(inputs, { batch: 4, continueOnError: true }));
    expect(results.map(({ result, error }) => result?.width ?? (error as { code: string }).code)).toEqual([
      3,
      'ERR_SHAPE',
      'ERR_IMAGE_FORMAT',
      5,
    ]);
    expect(detector.network.batches).toEqual([[3, 13, 5], [3], [13], [5]]);
    expectNothingLeft(before);
  });

  test('without continueOnError the first failure ends it', async () => {
    await expect(all(model().detectAll([picture(3), picture(13)], { batch: 2 }))).rejects.toMatchObject({
      code: 'ERR_SHAPE',
    });
    await expect(all(model().detectAll([new Uint8Array([1])]))).rejects.toMatchObject({
      code: 'ERR_IMAGE_FORMAT',
    });
  });

  test('an aborted run ends, whatever the options', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = async () => {
      const options = { continueOnError: true, signal: controller.signal };
      for await (const { index } of model().detectAll(
        [3, 4, 5].map((width) => picture(width)),
        options,
      )) {
        seen.push(index);
        controller.abort();
      }
    };
    await expect(run()).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(seen).toEqual([0]);
  });

  test('no images, and a batch of no size', async () => {
    expect(await all(model().detectAll([]))).toEqual([]);
    await expect(all(model().detectAll([], { batch: 0 }))).rejects.toMatchObject({ code: 'ERR_RANGE' });
  });
});
