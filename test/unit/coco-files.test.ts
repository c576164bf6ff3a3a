import { lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COCO_PANOPTIC, COCO_STUFF, COCO_THINGS, cocoIds } from '../../lib/coco/classes';
import { readInstances } from '../../lib/coco/instances';
import { readJsonValues } from '../../lib/coco/json-file';
import { readPanoptic, readPanopticResults } from '../../lib/coco/panoptic';
import { readResults } from '../../lib/coco/results';
import { ResultsWriter } from '../../lib/coco/results-writer';
import { rleArea } from '../../lib/coco/rle';
import { CocoError } from '../../lib/errors';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-coco-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Writes a file: text as it is, anything else as JSON. */
function written(content: unknown, name = 'file.json'): string {
  const file = join(folder, name);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

async function valuesOf(content: string) {
  const values: unknown[] = [];
  await readJsonValues(written(content), (value, key, index) => values.push([key, index, value]));
  return values;
}

describe("COCO's classes", () => {
  test('80 things, 53 kinds of stuff, each name and id once', () => {
    expect([COCO_THINGS.length, COCO_STUFF.length, COCO_PANOPTIC.length]).toEqual([80, 53, 133]);
    expect(new Set(COCO_PANOPTIC.map(({ id }) => id)).size).toBe(133);
    expect(new Set(COCO_PANOPTIC.map(({ name }) => name)).size).toBe(133);
    expect(COCO_THINGS[7]).toEqual({ id: 8, name: 'truck', color: [0, 0, 70], isThing: true });
    expect(COCO_PANOPTIC[132]).toEqual({
      id: 200,
      name: 'rug-merged',
      color: [250, 141, 255],
      isThing: false,
    });
    expect(cocoIds(['person', ' truck'])).toEqual([1, 8]);
    expect(cocoIds(['person', 'unicorn'])).toBeUndefined();
  });
});

describe('JSON read value by value', () => {
  test('lists, objects with lists and other members, texts with brackets and quotes', async () => {
    expect(await valuesOf(' [1, {"a": [1, 2]}, "x]\\"}", null , true]\n')).toEqual([
      ['', 0, 1],
      ['', 1, { a: [1, 2] }],
      ['', 2, 'x]"}'],
      ['', 3, null],
      ['', 4, true],
    ]);
    expect(await valuesOf('{"info":{"n":[1]},"a\\"b":[{"x":"}"},[]],"empty":[],"last":-1.5e3}')).toEqual([
      ['info', undefined, { n: [1] }],
      ['a"b', 0, { x: '}' }],
      ['a"b', 1, []],
      ['last', undefined, -1500],
    ]);
    expect([await valuesOf('[]'), await valuesOf('{}'), await valuesOf(' { "a" : [ ] } ')]).toEqual([
      [],
      [],
      [],
    ]);
  });

  test('values may lie across the pieces in which a file is read', async () => {
    const values = Array.from({ length: 30_000 }, (_, i) => ({ i, text: `é"\\${'x'.repeat(i % 97)}` }));
    const text = JSON.stringify({ list: values });
    expect(text.length).toBeGreaterThan(2 ** 21);
    expect(await valuesOf(text)).toEqual(values.map((value, i) => ['list', i, value]));
  });

  test.each([
    ['', /a whole JSON list or object for .*, got its end/],
    ['3', /a JSON list or object/],
    ['[1, 2', /a whole JSON list or object/],
    ['[1, 2]]', /the end of the file/],
    ['[1 2]', /a JSON value for \[0\] of/],
    ['[1,]', /a JSON value for \[1\]/],
    ['[,1]', /a JSON value for \[0\]/],
    ['{"a" 1}', /':'/],
    ['{"a": 1,}', /a name/],
    ['{a: 1}', /a name/],
    ['{"a": [1, {"b": NaN}]}', /a JSON value for a\[1\] of/],
    ['{"a": [1}', /closing bracket|a JSON value/],
    ['{"a": "text}', /a whole JSON list or object/],
  ])('%j is refused', async (text, message) => {
    const reading = valuesOf(text);
    await expect(reading).rejects.toMatchObject({
      code: 'ERR_COCO_READ',
      message: expect.stringMatching(message),
    });
    await expect(reading).rejects.toBeInstanceOf(CocoError);
  });

  test('a file that is not there, a folder, a signal', async () => {
    const ignore = () => {};
    await expect(readJsonValues(join(folder, 'none.json'), ignore)).rejects.toMatchObject({
      code: 'ERR_COCO_READ',
      message: expect.stringContaining('there is no such file'),
    });
    await expect(readJsonValues(folder, ignore)).rejects.toMatchObject({ code: 'ERR_COCO_READ' });
    await expect(readJsonValues(written('[]'), ignore, AbortSignal.abort())).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
  });
});

const image = { id: 7, file_name: 'a.jpg', width: 8, height: 6, license: 1 };
const category = { id: 3, name: 'cat', supercategory: 'animal' };
const annotation = {
  id: 1,
  image_id: 7,
  category_id: 3,
  bbox: [1, 1, 3, 2],
  area: 6,
  iscrowd: 0,
  segmentation: [[1, 1, 4, 1, 4, 3, 1, 3]],
};
const instances = { info: {}, images: [image], annotations: [annotation], categories: [category] };
const withAnnotation = (change: object) => ({
  ...instances,
  annotations: [annotation, { ...annotation, id: 2, ...change }],
});

describe('instances files', () => {
  test('images, categories, objects and masks in three forms', async () => {
    const counts = [0, 6, 42];
    const truth = await readInstances(
      written({
        annotations: [
          annotation,
          { ...annotation, id: 2, segmentation: { size: [6, 8], counts }, iscrowd: 1 },
          { ...annotation, id: 3, segmentation: { size: [6, 8], counts: '06Z1' }, bbox: undefined },
        ],
        categories: [category],
        images: [image],
      }),
      { masks: true },
    );
    expect(truth.images.get(7)).toEqual({ id: 7, fileName: 'a.jpg', width: 8, height: 6 });
    expect(truth.categories.get(3)).toEqual({ id: 3, name: 'cat' });
    expect([truth.count, truth.of(7).length, truth.of(8)]).toEqual([3, 3, []]);
    expect(truth.of(7)[1]).toMatchObject({ id: 2, crowd: true, area: 6, box: [1, 1, 3, 2] });
    expect(truth.of(7).map((each) => rleArea(truth.mask(each)))).toEqual([6, 6, 6]);
    expect((await readInstances(written({ ...instances, annotations: [] }))).count).toBe(0);
  });

  test.each([
    [{ ...instances, images: [] }, 'ERR_COCO_FORMAT', /a list images with at least one element/],
    [{ images: [image] }, 'ERR_COCO_FORMAT', /a list categories/],
    [[], 'ERR_COCO_FORMAT', /a list images/],
    [
      { images: [image], categories: [category] },
      'ERR_COCO_FORMAT',
      /a list annotations in .*, got undefined/,
    ],
    [
      { ...instances, annotations: { 1: annotation } },
      'ERR_COCO_FORMAT',
      /a list annotations in .*, got (?!undefined)/,
    ],
    [
      { ...instances, images: [{ ...image, width: 0 }] },
      'ERR_COCO_FORMAT',
      /from 1 for images\[0\]\.width .*got 0/,
    ],
    [{ ...instances, images: [image, image] }, 'ERR_COCO_FORMAT', /each id once for images\[1\]\.id/],
    [
      { ...instances, categories: [{ id: '3', name: 'cat' }] },
      'ERR_COCO_FORMAT',
      /an integer for categories\[0\]\.id/,
    ],
    [{ ...instances, annotations: [4] }, 'ERR_COCO_FORMAT', /an object for annotations\[0\]/],
    [withAnnotation({ id: 1 }), 'ERR_COCO_FORMAT', /each id once for annotations\[1\]\.id/],
    [
      withAnnotation({ bbox: [1, 2, 3] }),
      'ERR_COCO_FORMAT',
      /\[x, y, width, height\] for annotations\[1\]\.bbox of/,
    ],
    [withAnnotation({ bbox: undefined }), 'ERR_COCO_FORMAT', /annotations\[1\]\.bbox of/],
    [withAnnotation({ area: undefined }), 'ERR_COCO_FORMAT', /a number for annotations\[1\]\.area/],
    [withAnnotation({ iscrowd: 2 }), 'ERR_COCO_FORMAT', /0 or 1 for annotations\[1\]\.iscrowd/],
    [
      withAnnotation({ image_id: 8 }),
      'ERR_COCO_REFERENCE',
      /an image .* for annotations\[1\]\.image_id .*got 8/,
    ],
    [
      withAnnotation({ category_id: 1 }),
      'ERR_COCO_REFERENCE',
      /a category .* for annotations\[1\]\.category_id/,
    ],
  ])('%j is refused', async (content, code, message) => {
    await expect(readInstances(written(content))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test.each([
    [undefined, /polygons or run lengths/],
    [[], /a list with at least one polygon/],
    [[[1, 2, 3]], /annotations\[1\]\.segmentation of/],
    [{ size: [6, 9], counts: [54] }, /a mask of 6 x 8 pixels/],
    [{ size: [6, 8], counts: [1] }, /add up to 6 x 8 = 48/],
    [{ counts: [48] }, /\{ size: \[height, width\], counts \}/],
  ])('the segmentation %j is refused when its mask is asked for', async (segmentation, message) => {
    const truth = await readInstances(written(withAnnotation({ segmentation })), { masks: true });
    const mask = () => truth.mask(truth.of(7)[1]!);
    expect(mask).toThrow(message);
    expect(mask).toThrow(expect.objectContaining({ code: 'ERR_COCO_FORMAT' }));
  });
});

describe('results files', () => {
  const result = { image_id: 7, category_id: 3, bbox: [1, 1, 3, 2], score: 0.5 };
  const truth = () => readInstances(written(instances, 'truth.json'));

  test('come by image, and are written as they are read', async () => {
    const file = join(folder, 'results.json');
    const writer = await ResultsWriter.open(file);
    await writer.add([result, { ...result, score: 0.25 }] as never);
    await writer.add([]);
    await writer.add([result] as never);
    await writer.close();
    expect(JSON.parse(await readFile(file, 'utf8'))).toHaveLength(3);
    const read = await readResults(file, await truth(), 'bbox');
    expect([...read.keys()]).toEqual([7]);
    expect(read.get(7)!.map(({ score }) => score)).toEqual([0.5, 0.25, 0.5]);

    const begun = await ResultsWriter.open(file);
    await begun.add([result] as never);
    await begun.abandon();
    expect((await readResults(file, await truth(), 'bbox')).get(7)).toHaveLength(3);

    const barred = await ResultsWriter.open(join(folder, 'barred.json'));
    mkdirSync(join(folder, 'barred.json'));
    await expect(barred.close()).rejects.toMatchObject({ code: 'ERR_COCO_WRITE' });
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    await expect(barred.abandon()).resolves.toBeUndefined();
    await expect(ResultsWriter.open(folder)).rejects.toMatchObject({ code: 'ERR_COCO_WRITE' });

    const empty = await ResultsWriter.open(file);
    await empty.close();
    expect((await readResults(file, await truth(), 'bbox')).size).toBe(0);
    await expect(ResultsWriter.open(join(folder, 'no', 'results.json'))).rejects.toMatchObject({
      code: 'ERR_COCO_WRITE',
      message: expect.stringContaining('its folder does not exist'),
    });
  });

  test('a link goes on leading to what it led to, and a device is never replaced', async () => {
    const [link, file] = [join(folder, 'link.json'), written('[]', 'linked.json')];
    symlinkSync(file, link);
    for (const path of [link, '/dev/null']) {
      const writer = await ResultsWriter.open(path);
      await writer.add([result] as never);
      await writer.close();
    }
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(JSON.parse(await readFile(file, 'utf8'))).toHaveLength(1);
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  test.each([
    [{}, 'bbox', 'ERR_COCO_FORMAT', /a list of detections/],
    [{ detections: [] }, 'bbox', 'ERR_COCO_FORMAT', /a list of detections/],
    [{ annotations: [result] }, 'bbox', 'ERR_COCO_FORMAT', /a list of detections/],
    [[{ ...result, image_id: 8 }], 'bbox', 'ERR_COCO_REFERENCE', /an image .* \[0\]\.image_id of .*results/],
    [[result, { ...result, category_id: 0 }], 'bbox', 'ERR_COCO_REFERENCE', /\[1\]\.category_id/],
    [[{ ...result, score: '1' }], 'bbox', 'ERR_COCO_FORMAT', /a number for \[0\]\.score/],
    [[{ ...result, bbox: undefined }], 'bbox', 'ERR_COCO_FORMAT', /\[0\]\.bbox/],
    [[result], 'segm', 'ERR_COCO_FORMAT', /a mask, which --task segm is about, for \[0\]\.segmentation/],
  ] as const)('%j for %s is refused', async (content, task, code, message) => {
    const reading = readResults(written(content, 'results.json'), await truth(), task);
    await expect(reading).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

describe('panoptic files', () => {
  const segment = { id: 5, category_id: 1, area: 4, iscrowd: 0 };
  const one = { image_id: 7, file_name: 'a.png', segments_info: [segment] };
  const file = {
    categories: [
      { id: 1, name: 'cat', isthing: 1 },
      { id: 92, name: 'banner', isthing: 0 },
    ],
    annotations: [one],
    images: [{ id: 7, file_name: 'a.jpg' }],
  };
  const withSegments = (...segments: object[]) => ({
    ...file,
    annotations: [{ ...one, segments_info: segments }],
  });

  test('categories, segments and image names', async () => {
    const { categories, annotations, imageNames } = await readPanoptic(written(file));
    expect([...categories.values()]).toEqual([
      { id: 1, name: 'cat', isThing: true },
      { id: 92, name: 'banner', isThing: false },
    ]);
    expect(annotations.get(7)).toEqual({
      imageId: 7,
      fileName: 'a.png',
      segments: [{ id: 5, categoryId: 1, area: 4, crowd: false }],
    });
    expect(imageNames.get(7)).toBe('a.jpg');
  });

  test.each([
    [{ ...file, annotations: [] }, 'ERR_COCO_FORMAT', /a list annotations/],
    [{ ...file, categories: [] }, 'ERR_COCO_FORMAT', /a list categories/],
    [{ ...file, annotations: [one, one] }, 'ERR_COCO_FORMAT', /each id once for annotations\[1\]\.image_id/],
    [
      { ...file, annotations: [{ image_id: 7, file_name: 'a.png' }] },
      'ERR_COCO_FORMAT',
      /a list of segments/,
    ],
    [
      withSegments({ ...segment, id: 0 }),
      'ERR_COCO_FORMAT',
      /from 1 for annotations\[0\]\.segments_info\[0\]\.id/,
    ],
    [withSegments({ ...segment, id: 2 ** 24 }), 'ERR_COCO_FORMAT', /an id up to 16777215/],
    [withSegments(segment, segment), 'ERR_COCO_FORMAT', /segments_info\[1\]\.id/],
    [
      withSegments(segment, { ...segment, id: 6, category_id: 2 }),
      'ERR_COCO_REFERENCE',
      /segments_info\[1\]\.category_id/,
    ],
  ])('%j is refused', async (content, code, message) => {
    await expect(readPanoptic(written(content))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test.each(['../a.png', '/a.png', 'b/../../a.png', '..\\a.png', 'c:a.png', '', 'b/', 'a\0.png'])(
    'a PNG outside their folder is refused: %j',
    async (name) => {
      const outside = { ...file, annotations: [{ ...one, file_name: name }] };
      await expect(readPanoptic(written(outside))).rejects.toMatchObject({
        code: 'ERR_COCO_FORMAT',
        message: expect.stringContaining(
          'a path inside the folder of the files for annotations[0].file_name',
        ),
      });
    },
  );

  test('results are of the images and categories of the truth', async () => {
    const truth = await readPanoptic(written(file, 'truth.json'));
    const results = await readPanopticResults(written({ annotations: [one] }), truth);
    expect(results.annotations.size).toBe(1);
    const other = written({ annotations: [{ ...one, image_id: 8 }] });
    await expect(readPanopticResults(other, truth)).rejects.toMatchObject({ code: 'ERR_COCO_REFERENCE' });
  });
});
