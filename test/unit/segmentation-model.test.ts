import { memoryStats } from '../../lib/device';
import { AbortError, ArgumentError } from '../../lib/errors';
import { SegmentationModel, type SegmentationNetwork } from '../../lib/models/segmentation-model';
import type { SegmentationTensors, SegNeXtSegmentOptions } from '../../lib/modules/segnext';
import { type Tensor, tensor } from '../../lib/tensor';
import { collectGarbage, expectNothingLeft } from '../collect-garbage';

beforeAll(collectGarbage);

/** A network that labels every pixel by the red of its image's first pixel. */
class FakeNetwork implements SegmentationNetwork {
  disposed = false;
  readonly calls: (readonly number[])[] = [];

  async segment(image: Tensor<'uint8'>, options: SegNeXtSegmentOptions = {}): Promise<SegmentationTensors> {
    this.calls.push(image.shape);
    if (options.signal?.aborted) throw new AbortError('ERR_ABORTED', 'the job was cancelled');
    const single = image.rank === 3;
    const [count, height, width] = (single ? [1, ...image.shape] : image.shape) as [number, number, number];
    const pixels = image.dataSync() as Uint8Array;
    const size = height * width;
    const reds = Array.from({ length: count }, (_, i) => pixels[i * size * 3]!);
    // Stands for an image that the network cannot take, alone or among others.
    if (reds.includes(13)) throw new ArgumentError('ERR_SHAPE', 'unlucky');
    const lead = single ? [] : [count];
    const plane = (scale: number) =>
      Array.from({ length: count * size }, (_, i) => reds[Math.floor(i / size)]! * scale);
    const { outputs = {} } = options;
    return {
      labels: tensor(Uint8Array.from(plane(1)), [...lead, height, width]),
      ...(outputs.logits && { logits: tensor(Float32Array.from(reds), [...lead, 1, 1, 1]) }),
      ...(outputs.scores && { scores: tensor(Float32Array.from(plane(0.5)), [...lead, height, width]) }),
    };
  }

  dispose(): void {
    this.disposed = true;
  }
}

function model(network = new FakeNetwork()): SegmentationModel<FakeNetwork> {
  return new SegmentationModel({
    network,
    nmfBases: undefined,
    classes: Array.from({ length: 20 }, (_, i) => `class ${i}`),
    palette: [],
    info: {
      architecture: 'fake',
      description: undefined,
      parameters: 0,
      checkpoint: 'none',
      format: 'none',
      device: 'cpu',
      dtype: 'float32',
      loaded: { missing: [], unexpected: [], mismatched: [], renamed: [] } as never,
      preprocess: {},
      inference: { mode: 'whole' },
    },
  });
}

const picture = (red: number, width = 4) => ({
  data: new Uint8Array(width * 2 * 3).fill(red),
  width,
  height: 2,
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe('segment', () => {
  test('gives the map of one image, and tells of its steps', async () => {
    const before = memoryStats();
    const stages: string[] = [];
    const onProgress = ({ stage }: { stage: string }) => stages.push(stage);
    const map = await model().segment(picture(7), { outputs: ['scores'], onProgress });
    expect(map.at(3, 1)).toEqual({ index: 7, name: 'class 7', score: 3.5 });
    expect(stages).toEqual(['decode', 'inference']);
    expect(map.timing.total).toBeCloseTo(map.timing.decode + map.timing.inference);
    expectNothingLeft(before);
  });
});

describe('segmentAll', () => {
  test('without batch, images go one by one', async () => {
    const segmenter = model();
    const results = await all(segmenter.segmentAll([picture(1), picture(2)]));
    expect(results.map(({ map }) => map!.labels[0])).toEqual([1, 2]);
    expect(segmenter.network.calls).toEqual([
      [2, 4, 3],
      [2, 4, 3],
    ]);
  });

  test('images of one size go together, and results keep the order of the images', async () => {
    const before = memoryStats();
    const segmenter = model();
    const progress: number[] = [];
    const inputs = [picture(1), picture(2, 5), picture(3), picture(4), picture(5), picture(6, 5)];
    const onProgress = ({ done }: { done: number }) => progress.push(done);
    const results = await all(
      segmenter.segmentAll(inputs, { batch: 4, outputs: ['logits', 'scores'], onProgress }),
    );
    expect(segmenter.network.calls).toEqual([
      [3, 2, 4, 3],
      [2, 5, 3],
      [2, 4, 3],
      [2, 5, 3],
    ]);
    for (const [i, { index, image, map }] of results.entries()) {
      expect([index, image!.width, map!.width]).toEqual([i, inputs[i]!.width, inputs[i]!.width]);
      expect([...map!.labels]).toEqual(Array(2 * map!.width).fill(i + 1));
      expect(map!.scores![0]).toBe((i + 1) / 2);
      expect([map!.logits!.shape, map!.logits!.item()]).toEqual([[1, 1, 1], i + 1]);
    }
    expect(progress).toEqual([1, 2, 3, 4, 5, 6]);
    for (const { map } of results) map!.dispose();
    expectNothingLeft(before);
  });

  test('an image that fails takes none of its batch with it', async () => {
    const segmenter = model();
    const inputs = [picture(3), picture(13), new Uint8Array([1, 2, 3]), picture(5), picture(6, 7)];
    const results = await all(segmenter.segmentAll(inputs, { batch: 5, continueOnError: true }));
    const codes = results.map(({ map, error }) => map?.labels[0] ?? (error as { code: string }).code);
    expect(codes).toEqual([3, 'ERR_SHAPE', 'ERR_IMAGE_FORMAT', 5, 6]);
    expect(segmenter.network.calls.map((shape) => shape.join())).toEqual([
      '3,2,4,3',
      '2,4,3',
      '2,4,3',
      '2,4,3',
      '2,7,3',
    ]);
  });

  test('without continueOnError the first failure ends it', async () => {
    const run = (inputs: Parameters<SegmentationModel['segmentAll']>[0]) =>
      all(model().segmentAll(inputs, { batch: 2 }));
    await expect(run([picture(3), picture(13)])).rejects.toMatchObject({ code: 'ERR_SHAPE' });
    await expect(run([new Uint8Array([1])])).rejects.toMatchObject({ code: 'ERR_IMAGE_FORMAT' });
  });

  test('an aborted run, and a model that is disposed of, end it whatever the options', async () => {
    const controller = new AbortController();
    const options = { continueOnError: true, batch: 2, signal: controller.signal };
    const run = async (stop: () => void, segmenter: SegmentationModel<FakeNetwork>) => {
      for await (const { index } of segmenter.segmentAll(
        [1, 2, 13, 4].map((red) => picture(red)),
        options,
      )) {
        if (index === 1) stop();
      }
    };
    const disposed = model();
    await expect(run(() => disposed.dispose(), disposed)).rejects.toMatchObject({ code: 'ERR_SHAPE' });
    await expect(run(() => controller.abort(), model())).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  test.each([0, 1.5, 1025, '2'])('a batch of %p is refused', async (batch) => {
    const run = all(model().segmentAll([], { batch: batch as number }));
    await expect(run).rejects.toMatchObject({ code: 'ERR_RANGE' });
  });
});
