import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InstanceAnnotations } from '../../lib/coco/instances';
import { encodePanopticPng, readPanopticPng } from '../../lib/coco/panoptic-png';
import { PanopticWriter } from '../../lib/coco/panoptic-writer';
import { encodeRle, toCocoRle } from '../../lib/coco/rle';
import type { Detector, FoundObjects } from '../../lib/evaluation/detector';
import { evaluateDetector } from '../../lib/evaluation/detector-run';
import { evaluatePanopticFiles } from '../../lib/evaluation/panoptic-files';
import { evaluatePanopticModel } from '../../lib/evaluation/panoptic-run';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-detector-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const [width, height] = [8, 6];

/** A detector that finds what it is told to find, in any image. */
function detector(classes: readonly string[], found: Partial<FoundObjects>) {
  const seen: string[] = [];
  const model: Detector = {
    classes,
    async *detectAll(images) {
      let index = 0;
      for (const image of images) {
        seen.push(image);
        yield { index: index++, result: { width, height, detections: [], ...found } };
      }
    },
  };
  return { model, seen };
}

function truth(categories: { id: number; name: string }[]): InstanceAnnotations {
  const made = new InstanceAnnotations('truth.json', true);
  const images = [9, 4].map((id) => ({ id, file_name: `${id}.jpg`, width, height }));
  const object = { category_id: categories[0]!.id, bbox: [1, 1, 3, 2], area: 6, iscrowd: 0 };
  const segmentation = [[1, 1, 4, 1, 4, 3, 1, 3]];
  const annotations = [9, 4].map((id) => ({ ...object, id, image_id: id, segmentation }));
  for (const [list, values] of Object.entries({ images, categories, annotations })) {
    for (const [index, value] of values.entries()) made.add(value, list, index);
  }
  made.checkReferences();
  return made;
}

const categories = [
  { id: 17, name: ' cat' },
  { id: 2, name: 'dog' },
];
const mask = {
  toCoco: () =>
    toCocoRle(
      encodeRle(
        Uint8Array.from({ length: 48 }, (_, i) => (i === 9 ? 1 : 0)),
        6,
        8,
      ),
    ),
};
const cat = { box: [1, 1, 4, 3] as const, score: 0.9, label: 1 };

describe('a detector over a data set', () => {
  test('classes are found by their names; others are left out; images come in the order of their ids', async () => {
    const { model, seen } = detector(['unicorn', 'cat'], { detections: [cat, { ...cat, label: 0 }] });
    const [progress, saved]: [string[], object[]] = [[], []];
    const report = await evaluateDetector(model, truth(categories), 'photos', {
      onProgress: ({ done, total, image }) => progress.push(`${done}/${total} ${image}`),
      onResults: (results, imageId) => {
        saved.push([imageId, results]);
      },
    });
    expect(report).toMatchObject({ ap: expect.closeTo(1, 12), images: 2, detections: 2 });
    expect(seen).toEqual([join('photos', '4.jpg'), join('photos', '9.jpg')]);
    expect(progress).toEqual([`1/2 ${join('photos', '4.jpg')}`, `2/2 ${join('photos', '9.jpg')}`]);
    expect(saved[0]).toEqual([4, [{ image_id: 4, category_id: 17, bbox: [1, 1, 3, 2], score: 0.9 }]]);
  });

  test('masks are judged by their pixels', async () => {
    const { model } = detector(['cat', 'cat'], { detections: [{ ...cat, mask }] });
    const report = await evaluateDetector(model, truth(categories), '', { task: 'segm', imageIds: [9] });
    expect(report).toMatchObject({ task: 'segm', ap: 0, images: 1, detections: 1 });
  });

  test.each([
    ['no class of the same name', ['a'], {}, {}, 'ERR_COCO_REFERENCE', /a category cat, dog of truth\.json/],
    [
      'an image of another size',
      ['cat'],
      { width: 9 },
      {},
      'ERR_IMAGE_SIZE',
      /8 x 6 pixels.* for 4\.jpg, got 9 x 6/,
    ],
    ['no masks', ['dog', 'cat'], { detections: [cat] }, { task: 'segm' }, 'ERR_NOT_SUPPORTED', /finds masks/],
  ] as const)('%s', async (_, classes, found, options, code, message) => {
    const { model } = detector(classes, found);
    await expect(evaluateDetector(model, truth(categories), '', options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

describe('a panoptic model over a data set', () => {
  const ids = Int32Array.from({ length: 48 }, (_, i) => (i % 8 < 4 ? 70_000 : i % 8 < 6 ? 3 : 0));
  const kinds = [
    { id: 17, name: 'cat', isthing: 1 },
    { id: 92, name: 'banner', isthing: 0 },
  ];
  const segments = [
    { id: 70_000, label: 0, isThing: true, area: 24, box: [0, 0, 4, 6] as const },
    { id: 3, label: 1, isThing: false, area: 12, box: [4, 0, 2, 6] as const },
  ];
  const source = () => ({ file: join(folder, 'truth.json'), folder });

  beforeAll(async () => {
    writeFileSync(join(folder, '7.png'), await encodePanopticPng(ids, width, height));
    const info = segments.map(({ id, label, area }) => ({
      id,
      category_id: kinds[label]!.id,
      area,
      iscrowd: 0,
    }));
    const annotations = [{ image_id: 7, file_name: '7.png', segments_info: info }];
    writeFileSync(source().file, JSON.stringify({ annotations, categories: kinds }));
  });

  test('is scored, and what it finds is written as results that score the same', async () => {
    const { model, seen } = detector(['cat', 'banner'], { panoptic: { width, height, ids, segments } });
    const results = join(folder, 'found.json');
    const writer = await PanopticWriter.open(results);
    const report = await evaluatePanopticModel(model, source(), 'photos', {
      onSegments: async (image, { imageId, fileName }) => {
        expect(image.segments.map(({ categoryId }) => categoryId)).toEqual([17, 92]);
        const infos = image.segments.map(({ id, categoryId, area, box }) => ({
          ...{ id, category_id: categoryId, area: area!, bbox: box },
          ...({ iscrowd: 0, isthing: 0 } as const),
        }));
        await writer.add(imageId, fileName, image, infos);
      },
    });
    await writer.close();
    // The image is named after the PNG where the file has no list of images.
    expect(seen).toEqual([join('photos', '7.jpg')]);
    expect(report).toMatchObject({
      all: { pq: 1 },
      things: { classes: 1 },
      stuff: { classes: 1 },
      images: 1,
    });
    expect(await readPanopticPng(join(folder, 'found', '7.png'))).toEqual({ width, height, ids });
    expect(JSON.parse(await readFile(results, 'utf8')).annotations[0].segments_info).toHaveLength(2);
    expect(await evaluatePanopticFiles(source(), { file: results })).toEqual(report);
    expect((await evaluatePanopticFiles(source(), { file: results }, { limit: 0 })).images).toBe(0);
  });

  test.each([
    ['no panoptic map', ['cat'], {}, 'ERR_NOT_SUPPORTED', /a panoptic model/],
    [
      'a class without a category',
      ['cat', 'x'],
      { ids, width, height, segments },
      'ERR_COCO_REFERENCE',
      /category x/,
    ],
    [
      'another size',
      ['cat', 'banner'],
      { ids, width: 6, height: 8, segments },
      'ERR_IMAGE_SIZE',
      /8 x 6 pixels/,
    ],
  ] as const)('%s', async (_, classes, panoptic, code, message) => {
    const { model } = detector(classes, 'ids' in panoptic ? { panoptic } : {});
    await expect(evaluatePanopticModel(model, source(), '')).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test('a writer says where it cannot write', async () => {
    await expect(PanopticWriter.open(join(source().file, 'results.json'))).rejects.toMatchObject({
      code: 'ERR_COCO_WRITE',
    });
  });

  test('a writer that is abandoned leaves what was there, and nothing else', async () => {
    const [file, name] = [join(folder, 'kept.json'), 'deep/7.png'];
    const one = { ids, width, height };
    const other = { ...one, ids: ids.map(() => 9) };
    for (const [image, close] of [
      [one, true],
      [other, false],
    ] as const) {
      const writer = await PanopticWriter.open(file);
      await writer.add(7, name, image, []);
      await (close ? writer.close() : writer.abandon());
      expect(readdirSync(join(folder, 'kept'))).toEqual(['deep']);
      expect((await readPanopticPng(join(folder, 'kept', name))).ids).toEqual(ids);
      expect(JSON.parse(await readFile(file, 'utf8')).annotations).toHaveLength(1);
    }
    const before = readdirSync(folder).sort();
    const fresh = await PanopticWriter.open(join(folder, 'fresh.json'));
    await expect(fresh.add(7, '../7.png', one, [])).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    await fresh.add(7, '7.png', one, []);
    // Something is in the way of the JSON file: the PNGs have their places by then, and stay.
    mkdirSync(join(folder, 'fresh.json'));
    await expect(fresh.close()).rejects.toMatchObject({ code: 'ERR_COCO_WRITE' });
    rmSync(join(folder, 'fresh.json'), { recursive: true });
    expect(readdirSync(join(folder, 'fresh'))).toEqual(['7.png']);
    rmSync(join(folder, 'fresh'), { recursive: true });
    expect(readdirSync(folder).sort()).toEqual(before);
    await expect(PanopticWriter.open(join(folder, 'bare'))).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  });
});
