import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { PanopticSegment } from '../../lib/coco/panoptic';
import { encodePanopticPng, readPanopticPng } from '../../lib/coco/panoptic-png';
import { panopticSegments } from '../../lib/coco/panoptic-segments';
import { evaluatePanopticFiles } from '../../lib/evaluation/panoptic-files';
import { type PanopticImage, PanopticQuality } from '../../lib/evaluation/panoptic-quality';
import fixtures from './fixtures/coco-panoptic.json';

/** Runs a test in a fresh folder. */
async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'freqfusion-panoptic-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const categories = [
  { id: 1, name: 'cat', isThing: true },
  { id: 92, name: 'banner', isThing: false },
];

/** An image of one row, a letter a segment: capitals are stuff, '.' is void, a letter in `crowds` is a crowd. */
function row(text: string, crowds = ''): PanopticImage {
  const letters = [...new Set(text.replaceAll('.', ''))];
  const segments = letters.map(
    (letter): PanopticSegment => ({
      id: letter.charCodeAt(0),
      categoryId: letter === letter.toLowerCase() ? 1 : 92,
      area: [...text].filter((each) => each === letter).length,
      crowd: crowds.includes(letter),
    }),
  );
  const ids = Int32Array.from(text, (letter) => (letter === '.' ? 0 : letter.charCodeAt(0)));
  return { width: text.length, height: 1, ids, segments };
}

function scored(truth: PanopticImage, prediction: PanopticImage) {
  const quality = new PanopticQuality(categories);
  quality.add(truth, prediction);
  const { perClass, ...groups } = quality.report();
  const [things, stuff] = perClass.map(({ found, missed, wrong }) => ({ found, missed, wrong }));
  return { ...groups, counts: { things, stuff } };
}

describe('panoptic quality', () => {
  test('a found, a missed and a wrong segment', () => {
    const { all, things, stuff, counts } = scored(row('aaaabbbbAAAA'), row('aaaacccccAAA'));
    // b is 4 pixels and c 5, 4 of them shared; A is 4 and 3, 3 shared.
    expect(counts).toEqual({
      things: { found: 2, missed: 0, wrong: 0 },
      stuff: { found: 1, missed: 0, wrong: 0 },
    });
    expect(things).toEqual({ pq: (1 + 4 / 5) / 2, sq: 0.9, rq: 1, classes: 1 });
    expect(stuff).toEqual({ pq: 0.75, sq: 0.75, rq: 1, classes: 1 });
    expect(all).toEqual({ pq: expect.closeTo(0.825, 12), sq: expect.closeTo(0.825, 12), rq: 1, classes: 2 });
    expect(scored(row('aaaabbbb'), row('aaaa....')).things).toEqual({
      pq: 2 / 3,
      sq: 1,
      rq: 2 / 3,
      classes: 1,
    });
  });

  test('an IoU of one half is none', () => {
    expect(scored(row('aaabbb'), row('.aaabb')).counts.things).toEqual({ found: 1, missed: 1, wrong: 1 });
  });

  test('void neither adds to a union nor makes a segment wrong that mostly lies on it', () => {
    expect(scored(row('aa....'), row('aaaaaa')).things).toMatchObject({ pq: 1 });
    expect(scored(row('...bbb'), row('aaaabb')).counts.things).toEqual({ found: 1, missed: 0, wrong: 0 });
    expect(scored(row('aaa...'), row('.aaabb')).counts.things).toEqual({ found: 1, missed: 0, wrong: 0 });
    // Half is not most.
    expect(scored(row('..bbbb'), row('aaaabb')).counts.things).toEqual({ found: 0, missed: 1, wrong: 2 });
  });

  test('a crowd need not be found, and excuses segments of its class', () => {
    expect(scored(row('aaaabb', 'a'), row('aaaabb')).counts.things).toEqual({
      found: 1,
      missed: 0,
      wrong: 0,
    });
    expect(scored(row('aaaabb', 'a'), row('AAAAbb')).counts).toEqual({
      things: { found: 1, missed: 0, wrong: 0 },
      stuff: { found: 0, missed: 0, wrong: 1 },
    });
    // Of two crowds of a class the last one counts.
    expect(scored(row('aaaabb', 'ab'), row('cccc..')).counts.things).toMatchObject({ wrong: 1 });
  });

  test('true pixels that no segment describes are not void', () => {
    const truth = row('aaabbb');
    const without = { ...truth, segments: truth.segments.slice(0, 1) };
    expect(scored(without, row('aaabbb')).counts.things).toEqual({ found: 1, missed: 0, wrong: 1 });
  });

  test('classes without segments count nowhere; without any there is no score', () => {
    expect(scored(row('aa'), row('aa')).stuff).toEqual({ pq: null, sq: null, rq: null, classes: 0 });
    expect(scored(row('..'), row('..')).all).toEqual({ pq: null, sq: null, rq: null, classes: 0 });
    expect(scored(row('aa'), row('AA')).all).toEqual({ pq: 0, sq: 0, rq: 0, classes: 2 });
  });

  test('pixels and segments must fit', () => {
    const segment = expect.objectContaining({ code: 'ERR_PANOPTIC_SEGMENT' });
    const prediction = row('aab');
    expect(() => scored(row('aaa'), { ...prediction, segments: prediction.segments.slice(1) })).toThrow(
      segment,
    );
    expect(() => scored(row('aaa'), { ...prediction, segments: row('aabc').segments })).toThrow(
      /pixels of segment 99 in the PNG of the image/,
    );
    const unknown = prediction.segments.map((each) => ({ ...each, categoryId: 5 }));
    expect(() => scored(row('aaa'), { ...prediction, segments: unknown })).toThrow(segment);
    expect(() => scored(row('aaa'), row('aaaa'))).toThrow(
      expect.objectContaining({ code: 'ERR_IMAGE_SIZE' }),
    );
  });
});

describe('panoptic files, against test/python/coco/references.py', () => {
  test.each(fixtures.map((each, i) => [i, each] as const))(
    'case %i',
    async (_, { truth, results, pngs, want }) => {
      await inFolder(async (folder) => {
        for (const [name, { ids, width, height }] of Object.entries(pngs)) {
          await writeFile(join(folder, name), await encodePanopticPng(Int32Array.from(ids), width, height));
        }
        const files = Object.entries({ truth, results }).map(([name, content]) => {
          return { file: join(folder, `${name}.json`), folder, content };
        });
        for (const { file, content } of files) await writeFile(file, JSON.stringify(content));
        const seen: string[] = [];
        const report = await evaluatePanopticFiles(files[0]!, files[1]!, {
          onProgress: ({ done, total }) => seen.push(`${done}/${total}`),
        });
        const count = truth.annotations.length;
        expect(seen).toEqual(Array.from({ length: count }, (_, i) => `${i + 1}/${count}`));
        for (const group of ['all', 'things', 'stuff'] as const) {
          for (const score of ['pq', 'sq', 'rq'] as const) {
            expect(report[group][score]).toBeCloseTo(want[group][score], 12);
          }
        }
        await writeFile(files[1]!.file, JSON.stringify({ annotations: results.annotations.slice(1) }));
        await expect(evaluatePanopticFiles(files[0]!, files[1]!)).rejects.toMatchObject({
          code: 'ERR_PANOPTIC_SEGMENT',
          message: expect.stringMatching(/a prediction for image \d+ in .*results\.json/),
        });
        const signal = AbortSignal.abort();
        await expect(evaluatePanopticFiles(files[0]!, files[1]!, { signal })).rejects.toMatchObject({
          code: 'ERR_ABORTED',
        });
      });
    },
  );
});

describe('panoptic PNGs', () => {
  test('ids survive, byte by byte', async () => {
    const ids = Int32Array.from([0, 1, 255, 256, 65535, 65536, 2 ** 24 - 1, 1_000_007]);
    await inFolder(async (folder) => {
      const file = join(folder, 'a.png');
      await writeFile(file, await encodePanopticPng(ids, 4, 2));
      expect(await readPanopticPng(file)).toEqual({ width: 4, height: 2, ids });
      const { data } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
      expect(Array.from(data.subarray(9, 12))).toEqual([0, 1, 0]);
      expect(Array.from(data.subarray(21, 24))).toEqual([0x47, 0x42, 0x0f]);

      await sharp(new Uint8Array(8), { raw: { width: 4, height: 2, channels: 1 } })
        .toColourspace('b-w')
        .png()
        .toFile(join(folder, 'grey.png'));
      await writeFile(join(folder, 'text.png'), 'no picture');
      for (const name of ['grey.png', 'text.png']) {
        await expect(readPanopticPng(join(folder, name))).rejects.toMatchObject({ code: 'ERR_PANOPTIC_PNG' });
      }
      await expect(readPanopticPng(join(folder, 'b.png'))).rejects.toMatchObject({ code: 'ERR_COCO_READ' });
    });
    await expect(encodePanopticPng(Int32Array.from([-1]), 1, 1)).rejects.toMatchObject({
      code: 'ERR_LABEL_VALUE',
    });
    await expect(encodePanopticPng(Int32Array.from([2 ** 24]), 1, 1)).rejects.toMatchObject({
      code: 'ERR_LABEL_VALUE',
    });
    await expect(encodePanopticPng(ids, 3, 3)).rejects.toMatchObject({ code: 'ERR_SHAPE' });
  });

  test("a model's map becomes segments", () => {
    const classes = [
      { id: 1, isThing: true },
      { id: 92, isThing: false },
    ];
    const map = Int32Array.from([1000, 1000, 2, 1, 2000, 1000, 1, 1]);
    const { ids, segments } = panopticSegments(map, 4, 2, classes);
    expect(Array.from(ids)).toEqual([1000, 1000, 0, 1, 2000, 1000, 1, 1]);
    expect(segments).toEqual([
      { id: 1, category_id: 92, area: 3, bbox: [2, 0, 2, 2], iscrowd: 0, isthing: 0 },
      { id: 1000, category_id: 1, area: 3, bbox: [0, 0, 2, 2], iscrowd: 0, isthing: 1 },
      { id: 2000, category_id: 1, area: 1, bbox: [0, 1, 1, 1], iscrowd: 0, isthing: 1 },
    ]);
    // The first class without a number must not become void.
    expect(panopticSegments(Int32Array.from([0]), 1, 1, classes).segments[0]!.id).toBeGreaterThan(0);
    expect(() => panopticSegments(Int32Array.from([3]), 1, 1, classes)).toThrow(
      expect.objectContaining({ code: 'ERR_LABEL_VALUE' }),
    );
  });
});
