import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { memoryStats } from '../../lib/device';
import { type EvaluationReport, evaluateSegmentation } from '../../lib/evaluation/evaluate';
import { findPairs } from '../../lib/evaluation/pairs';
import { decodeImage } from '../../lib/image/decode';
import { readLabelMap } from '../../lib/image/labels';
import { preprocess } from '../../lib/image/preprocess';
import { BUNDLED_FOLDER } from '../../lib/models/architectures';
import { bundledPage, loadModel } from '../../lib/models/load';
import type { SegmentationModel } from '../../lib/models/segmentation-model';
import { tensor } from '../../lib/tensor';
import { expectNothingLeft } from '../collect-garbage';

const PAGES = join(BUNDLED_FOLDER, 'val');

let model: SegmentationModel;
let reference: Checkpoint;
beforeAll(async () => {
  model = await loadModel();
  reference = await Checkpoint.open(join(PAGES, 'reference.safetensors'));
});
afterAll(() => {
  model.dispose();
  reference.close();
});

function stored(name: string): { shape: readonly number[]; data: Float32Array } {
  const entry = reference.stateDict({ raw: true }).get(name)!;
  const bytes = Uint8Array.from(entry.bytes());
  return { shape: entry.shape, data: new Float32Array(bytes.buffer) };
}

/** Share of the pixels at which two maps agree. */
function agreement(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let same = 0;
  for (let i = 0; i < a.length; i++) same += Number(a[i] === b[i]);
  return same / a.length;
}

test('the bundled model says what it is', () => {
  expect(model.classes).toEqual(['background', 'text', 'heading', 'table', 'figure']);
  expect(model.palette[4]).toEqual([244, 180, 0]);
  expect(model.info).toMatchObject({
    architecture: 'layout-segnext-nano-freqfusion',
    parameters: 931_033,
    device: 'cpu',
    dtype: 'float32',
    format: 'torch-zip',
    loaded: { missing: [], unexpected: [], mismatched: [] },
  });
});

describe.each(['page_00', 'page_02', 'page_09'])('%s, against PyTorch', (page) => {
  test('the network input is the same', async () => {
    const { data, width, height } = await decodeImage(join(PAGES, `${page}.png`));
    using image = tensor(data, [height, width, 3], { dtype: 'uint8' });
    const { resized, multiple, input } = await preprocess(image, model.info.preprocess);
    expect(input.shape).toEqual([1, 3, 640, 480]);
    using slice = input.slice(2, 32, 40);
    using window = slice.slice(3, 32, 40);
    const got = await window.data();
    const want = stored(`${page}.input_slice`);
    expect(want.data.length).toBe(got.length);
    const worst = got.reduce((most, value, i) => Math.max(most, Math.abs(value - want.data[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(1e-5);
    for (const each of [resized, multiple, input]) each.dispose();
  });

  test('logits within rtol 1e-3 and atol 1e-2, labels to 99.9 %', async () => {
    using map = await model.segment(join(PAGES, `${page}.png`), {
      outputs: ['logits', 'scores', 'probabilities'],
    });
    const want = stored(`${page}.logits`);
    expect(map.logits!.shape).toEqual(want.shape);
    const got = await map.logits!.data();
    let misses = 0;
    for (let i = 0; i < got.length; i++) {
      if (Math.abs(got[i]! - want.data[i]!) > 1e-2 + 1e-3 * Math.abs(want.data[i]!)) misses++;
    }
    expect(misses).toBe(0);

    const labels = reference.stateDict({ raw: true }).get(`${page}.argmax`)!;
    expect([map.height, map.width]).toEqual(labels.shape);
    const wanted = labels.bytes();
    expect(agreement(map.labels, wanted)).toBeGreaterThanOrEqual(0.999);

    const probabilities = await map.probabilities!.data();
    const plane = map.width * map.height;
    for (let i = 0; i < plane; i += 997) {
      const values = model.classes.map((_, c) => probabilities[c * plane + i]!);
      expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 4);
      expect(map.scores![i]).toBeCloseTo(Math.max(...values), 5);
      expect(values.indexOf(Math.max(...values))).toBe(map.labels[i]);
    }
  });
});

describe('all labelled pages', () => {
  let report: EvaluationReport;
  let metrics: {
    freqfusion: { all: Record<string, unknown> };
    per_page: Record<string, { pixel_accuracy: number }>;
  };
  beforeAll(async () => {
    metrics = JSON.parse(await readFile(join(BUNDLED_FOLDER, 'metrics.json'), 'utf8'));
    report = await evaluateSegmentation(model, await findPairs(PAGES));
  }, 300_000);

  test('mean IoU and every IoU are those of metrics.json, within 0.002', () => {
    const all = metrics.freqfusion.all as {
      iou: Record<string, number>;
      miou: number;
      pixel_accuracy: number;
    };
    expect(report.images).toBe(24);
    expect(Math.abs(report.miou - all.miou)).toBeLessThan(0.002);
    expect(Math.abs(report.pixelAccuracy - all.pixel_accuracy)).toBeLessThan(0.002);
    for (const [name, iou] of Object.entries(all.iou)) {
      expect(Math.abs(report.iou[name]! - iou)).toBeLessThan(0.002);
    }
  });

  test('trimap and Boundary IoU agree with the definitions that PyTorch was scored by', () => {
    const all = metrics.freqfusion.all as Record<string, number>;
    expect(Math.abs(report.trimap!.miou - all.trimap3_miou!)).toBeLessThan(0.002);
    expect(Math.abs(report.trimap!.pixelAccuracy - all.trimap3_accuracy!)).toBeLessThan(0.002);
    expect(Math.abs(report.boundary!.miou - all.boundary3_miou!)).toBeLessThan(0.002);
  });

  test('every page has its accuracy', () => {
    for (const { image, pixelAccuracy } of report.perImage) {
      const want = metrics.per_page[image.split('/').at(-1)!]!.pixel_accuracy;
      expect(Math.abs(pixelAccuracy - want)).toBeLessThan(0.003);
    }
  });
});

describe('using it', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'freqfusion-layout-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('overlay, label PNG and logits of a page', async () => {
    using map = await model.segment(bundledPage(0), { outputs: ['logits'] });
    const { width, height } = map;
    await map.overlay(bundledPage(0), join(folder, 'overlay.png'), { legend: 'none' });
    expect(await sharp(join(folder, 'overlay.png')).metadata()).toMatchObject({ width, height, channels: 3 });
    await map.toLabelPng(join(folder, 'labels.png'));
    expect(Array.from((await readLabelMap(join(folder, 'labels.png'))).labels)).toEqual(
      Array.from(map.labels),
    );
    await map.saveLogits(join(folder, 'logits.safetensors'));
    const saved = await Checkpoint.open(join(folder, 'logits.safetensors'));
    expect(saved.names()).toEqual(['logits']);
    expect(JSON.parse(saved.metadata.classes as string)).toEqual(model.classes);
    saved.close();
    expect(map.areas().reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(map.timing.total).toBeGreaterThan(0);
  });

  test('the same image gives the same labels, alone or among many, from a path or from bytes', async () => {
    const files = [0, 1, 2].map(bundledPage);
    const alone = await Promise.all(files.map((file) => model.segment(file)));
    const done: string[] = [];
    let next = 0;
    for await (const { index, map, image } of model.segmentAll(files, {
      onProgress: ({ done: count, total }) => done.push(`${count}/${total}`),
    })) {
      expect(index).toBe(next++);
      expect(image!.width).toBe(map!.width);
      expect(Buffer.compare(Buffer.from(map!.labels), Buffer.from(alone[index]!.labels))).toBe(0);
    }
    expect(done).toEqual(['1/3', '2/3', '3/3']);
    const bytes = await model.segment(await readFile(files[0]!));
    expect(Buffer.compare(Buffer.from(bytes.labels), Buffer.from(alone[0]!.labels))).toBe(0);
  });

  test('an image that fails ends the run, or is reported', async () => {
    const files = [bundledPage(2), join(folder, 'nowhere.png'), bundledPage(3)];
    const seen: (string | undefined)[] = [];
    for await (const { map, error } of model.segmentAll(files, { continueOnError: true })) {
      seen.push(map === undefined ? (error as { code: string }).code : 'map');
    }
    expect(seen).toEqual(['map', 'ERR_IMAGE_MISSING', 'map']);
    const strict = async () => {
      for await (const _ of model.segmentAll(files));
    };
    await expect(strict()).rejects.toMatchObject({ code: 'ERR_IMAGE_MISSING' });
  });

  test('any size of image, down to one pixel', async () => {
    for (const [width, height] of [
      [1, 1],
      [7, 300],
      [333, 10],
    ] as const) {
      const map = await model.segment({ data: new Uint8Array(width * height * 3).fill(255), width, height });
      expect([map.width, map.height, map.labels.length]).toEqual([width, height, width * height]);
    }
  });

  test('a larger scan is shrunk by averaging, and its map has its own size', async () => {
    const { data, width, height } = await decodeImage(bundledPage(2));
    const twice = await sharp(data, { raw: { width, height, channels: 3 } })
      .resize(2 * width, 2 * height, { kernel: 'nearest' })
      .png()
      .toBuffer();
    const [small, large] = [await model.segment(bundledPage(2)), await model.segment(twice)];
    expect([large.width, large.height]).toEqual([2 * width, 2 * height]);
    let same = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) same += Number(large.at(2 * x, 2 * y).index === small.at(x, y).index);
    }
    // Averaging undoes the doubling exactly; only the maps' own interpolation differs.
    expect(same / (width * height)).toBeGreaterThan(0.99);
  });

  test('sliding windows, scales and a mirror image', async () => {
    const whole = await model.segment(bundledPage(0));
    for (const inference of [
      { mode: 'slide', crop: [416, 416], stride: [224, 224] },
      { ratios: [0.75, 1], flip: true },
    ] as const) {
      const map = await model.segment(bundledPage(0), { inference });
      expect(agreement(map.labels, whole.labels)).toBeGreaterThan(0.85);
    }
  });

  test('wrong arguments and a model after dispose()', async () => {
    await expect(model.segment(bundledPage(0), { outputs: ['maps' as never] })).rejects.toMatchObject({
      code: 'ERR_OPTION_VALUE',
    });
    await expect(model.segment(bundledPage(0), { inference: { mode: 'slide' } })).rejects.toMatchObject({
      code: 'ERR_MODEL_CONFIG',
    });
    await expect(
      model.segment(bundledPage(0), { outputs: ['logits'], inference: { flip: true } }),
    ).rejects.toMatchObject({ code: 'ERR_NOT_SUPPORTED' });
    await expect(model.segment(bundledPage(0), { maxPixels: 1000 })).rejects.toMatchObject({
      code: 'ERR_IMAGE_TOO_LARGE',
    });
    await expect(model.segment(bundledPage(0), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
    const other = await loadModel();
    other.dispose();
    other.dispose();
    await expect(other.segment(bundledPage(0))).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('a timer ticks through a segmentation', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const started = performance.now();
    await model.segment(bundledPage(0));
    const elapsed = performance.now() - started;
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(elapsed / 20);
  });

  test('nothing is left behind', async () => {
    const before = memoryStats();
    const other = await loadModel();
    for (let i = 0; i < 5; i++)
      (await other.segment(bundledPage(2), { outputs: ['logits', 'scores'] })).dispose();
    other.dispose();
    expectNothingLeft(before);
  });
});
