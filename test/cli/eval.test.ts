import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodePanopticPng } from '../../lib/coco/panoptic-png';
import { encodeLabelPng } from '../../lib/image/labels';
import detections from '../unit/fixtures/coco-detections.json';
import panoptic from '../unit/fixtures/coco-panoptic.json';
import { cli, inFolder, ROOT } from './run';

const SHAPES = join(ROOT, 'models', 'shapes', 'val');
const VAL = join(ROOT, 'models', 'layout', 'val');

/** Writes the truth and the results of a stored scene. */
function sceneIn(folder: string): { annotations: string; results: string } {
  const { truth, results } = detections[0]!;
  const files = { annotations: join(folder, 'truth.json'), results: join(folder, 'results.json') };
  writeFileSync(files.annotations, JSON.stringify(truth));
  writeFileSync(files.results, JSON.stringify(results));
  return files;
}

describe('freqfusion eval --task bbox and segm', () => {
  it.each(['bbox', 'segm'])("%s gives pycocotools' numbers", async (task) => {
    await inFolder(async (folder) => {
      const { annotations, results } = sceneIn(folder);
      const args = ['eval', '--task', task, '--annotations', annotations, '--results', results];
      const { code, stdout, stderr } = await cli([...args, '--json']);
      expect([code, stderr]).toEqual([0, '']);
      const report = JSON.parse(stdout);
      const { stats } = detections[0]!.cases.find(
        ({ options }) => Object.keys(options).length === 1 && options.task === task,
      )!;
      report.stats.forEach((value: number, i: number) => {
        expect(value).toBeCloseTo(stats[i]!, 9);
      });
      expect(report).toMatchObject({
        task,
        images: detections[0]!.truth.images.length,
        seconds: expect.any(Number),
      });
      const table = (await cli([...args, '--per-class'])).stdout;
      expect(table).toMatch(/^class +AP +AP50 +AP75 +small +medium +large +AR +objects$/m);
      expect(table).toMatch(new RegExp(`^average precision +${(100 * stats[0]!).toFixed(1)} `, 'm'));
      expect(table).toMatch(/AR@1 +AR@10 +AR@100/);
    });
  });

  it('takes other numbers of detections, and classes that are not told apart', async () => {
    await inFolder(async (folder) => {
      const { annotations, results } = sceneIn(folder);
      const args = ['eval', '--task', 'bbox', '--annotations', annotations, '--results', results, '--json'];
      const one = JSON.parse((await cli([...args, '--max-detections', '2,5,100'])).stdout);
      expect(Object.keys(one.ar)).toEqual(['2', '5', '100']);
      const any = JSON.parse((await cli([...args, '--any-class'])).stdout);
      expect(any.classes).toEqual([]);
      const wanted = detections[0]!.cases.find(({ options }) => 'useCategories' in options)!;
      expect(any.ap).toBeCloseTo(wanted.stats[0]!, 9);
    });
  });

  it('runs a detector, and its saved results score the same', async () => {
    await inFolder(async (folder) => {
      const saved = join(folder, 'saved.json');
      const args = [
        'eval',
        '--task',
        'segm',
        '--annotations',
        join(SHAPES, 'annotations.json'),
        '--limit',
        '2',
        '--json',
      ];
      const { code, stdout, stderr } = await cli([...args, '--images', SHAPES, '--save-results', saved]);
      expect([code, stderr]).toEqual([0, '']);
      const { seconds: _, ...report } = JSON.parse(stdout);
      expect(report.ap).toBeGreaterThan(0.5);
      expect(report).toMatchObject({ task: 'segm', images: 2 });
      const { seconds: __, ...again } = JSON.parse((await cli([...args, '--results', saved])).stdout);
      expect(again).toEqual(report);
    });
  });

  it('writes no results of a run that fails, and keeps those of another', async () => {
    await inFolder(async (folder) => {
      const { annotations } = sceneIn(folder);
      const saved = join(folder, 'saved.json');
      writeFileSync(saved, 'before');
      const args = ['eval', '--task', 'bbox', '--annotations', annotations, '--images', folder];
      const { code, stderr } = await cli([...args, '--save-results', saved]);
      expect(stderr).toMatch(/^error: expected a category .* among the classes of the model.*REFERENCE\]\n$/);
      expect(code).toBe(3);
      expect(readFileSync(saved, 'utf8')).toBe('before');
      expect(readdirSync(folder).sort()).toEqual(['results.json', 'saved.json', 'truth.json']);
    });
  });

  it('refuses to save results over what is judged against, before anything is written', async () => {
    await inFolder(async (folder) => {
      const { annotations } = sceneIn(folder);
      const before = readFileSync(annotations, 'utf8');
      const link = join(folder, 'link.json');
      symlinkSync(annotations, link);
      mkdirSync(join(folder, 'pngs', 'photos'), { recursive: true });
      mkdirSync(join(folder, 'out'));
      symlinkSync(join(folder, 'pngs'), join(folder, 'out', 'alias'));
      const run = (task: string, saved: string, ...more: string[]) =>
        cli([
          ...['eval', '--task', task, '--annotations', annotations, '--save-results', join(folder, saved)],
          ...['--images', join(folder, 'pngs', 'photos'), ...more],
        ]);
      for (const [task, saved, message] of [
        ['bbox', 'truth.json', /would replace the annotations/],
        ['segm', 'link.json', /would replace the annotations/],
        ['panoptic', 'truth.json', /would replace the annotations/],
        ['panoptic', 'pngs.json', /could replace the images/],
        ['panoptic', 'out/alias.json', /could replace the true PNGs/],
        ['panoptic', 'found', /a name ending in \.json for --save-results/],
      ] as const) {
        const more = saved === 'out/alias.json' ? ['--truth-pngs', join(folder, 'pngs')] : [];
        const { code, stderr } = await run(task, saved, ...more);
        expect(stderr).toMatch(message);
        expect(code).toBe(2);
      }
      expect(readFileSync(annotations, 'utf8')).toBe(before);
      expect(readdirSync(folder).sort()).toEqual(['link.json', 'out', 'pngs', 'results.json', 'truth.json']);
      expect(readdirSync(join(folder, 'pngs'))).toEqual(['photos']);
    });
  });

  it('says in one line where a file is wrong', async () => {
    await inFolder(async (folder) => {
      const { annotations, results } = sceneIn(folder);
      writeFileSync(results, JSON.stringify([{ ...detections[0]!.results[0]!, category_id: 77 }]));
      const { code, stderr } = await cli([
        'eval',
        '--task',
        'bbox',
        '--annotations',
        annotations,
        '--results',
        results,
      ]);
      expect(stderr).toMatch(
        /^error: expected a category .* for \[0\]\.category_id of .*\[ERR_COCO_REFERENCE\]\n$/,
      );
      expect(code).toBe(3);
    });
  });
});

describe('freqfusion eval --task panoptic', () => {
  it('scores PNGs beside the JSON files', async () => {
    await inFolder(async (folder) => {
      const { truth, results, pngs, want } = panoptic[0]!;
      for (const [name, content] of Object.entries({ truth, results })) {
        writeFileSync(join(folder, `${name}.json`), JSON.stringify(content));
        mkdirSync(join(folder, name));
      }
      for (const [name, { ids, width, height }] of Object.entries(pngs)) {
        const png = await encodePanopticPng(Int32Array.from(ids), width, height);
        writeFileSync(join(folder, name.startsWith('0') ? 'truth' : 'results', name), png);
      }
      const files = ['--annotations', join(folder, 'truth.json'), '--results', join(folder, 'results.json')];
      const args = ['eval', '--task', 'panoptic', ...files];
      const { code, stdout } = await cli([...args, '--json']);
      expect(code).toBe(0);
      const report = JSON.parse(stdout);
      expect(report.all.pq).toBeCloseTo(want.all.pq, 12);
      expect(report.stuff.rq).toBeCloseTo(want.stuff.rq, 12);
      const table = (await cli([...args, '--per-class'])).stdout;
      expect(table).toMatch(new RegExp(`^all +${(100 * want.all.pq).toFixed(1)} +`, 'm'));
      expect(table).toMatch(/^class +PQ +SQ +RQ +found +missed +wrong$/m);
      const elsewhere = await cli([...args, '--result-pngs', join(folder, 'truth')]);
      expect(elsewhere.stderr).toMatch(/cannot be read: ENOENT \[ERR_COCO_READ\]/);
      expect(elsewhere.code).toBe(3);
    });
  });
});

describe('freqfusion eval --task semantic', () => {
  it('runs a model over labelled pages; evaluate is another name', async () => {
    await inFolder(async (folder) => {
      for (const name of ['page_00.png', 'page_00_label.png'])
        copyFileSync(join(VAL, name), join(folder, name));
      const { code, stdout } = await cli(['eval', '--task', 'semantic', '--images', folder, '--json']);
      expect(code).toBe(0);
      const report = JSON.parse(stdout);
      expect(report).toMatchObject({ task: 'semantic', images: 1 });
      expect(report.pixelAccuracy).toBeGreaterThan(0.7);
      expect(report.meanAccuracy).toBeGreaterThan(0.5);
      expect((await cli(['evaluate', folder])).stdout).toMatch(/^background +\d+\.\d % +\d+\.\d %/m);
    });
  });

  it('scores a folder of label PNGs', async () => {
    await inFolder(async (folder) => {
      const maps = { truth: [0, 0, 1, 1, 255, 2], found: [0, 1, 1, 1, 0, 2] };
      for (const [name, labels] of Object.entries(maps)) {
        mkdirSync(join(folder, name));
        const png = await encodeLabelPng({ width: 3, height: 2, labels: Uint8Array.from(labels) });
        writeFileSync(join(folder, name, 'page.png'), png);
      }
      const args = ['eval', '--results', join(folder, 'found'), '--labels', join(folder, 'truth')];
      const { stdout } = await cli([...args, '--classes', 'wall, floor,door', '--boundary', '0', '--json']);
      const { iou, accuracy, pixelAccuracy } = JSON.parse(stdout);
      expect(iou).toEqual({ wall: 0.5, floor: 2 / 3, door: 1 });
      expect(accuracy).toEqual({ wall: 0.5, floor: 1, door: 1 });
      expect(pixelAccuracy).toBe(0.8);
    });
  });

  it('says where labels are missing', async () => {
    await inFolder(async (folder) => {
      copyFileSync(join(VAL, 'page_00.png'), join(folder, 'page.png'));
      const { code, stderr } = await cli(['eval', folder]);
      expect(stderr).toMatch(/have no label PNG/);
      expect(code).toBe(3);
    });
  });
});

describe('freqfusion eval, used wrongly', () => {
  it.each([
    [['eval'], /expected either --images, to run a model, or --results/],
    [['eval', 'a', '--results', 'b'], /either --images/],
    [['eval', 'a', '--images', 'b'], /given twice/],
    [['eval', '--task', 'segm', '--results', 'b'], /expected --annotations for --task segm/],
    [
      ['eval', '--results', 'b', '--annotations', 'a'],
      /--annotations belongs to --task bbox or segm or panoptic/,
    ],
    [
      ['eval', '--task', 'panoptic', '--results', 'b', '--any-class'],
      /--any-class belongs to --task bbox or segm/,
    ],
    [['eval', 'a', '--limit', '1'], /--limit belongs to --task bbox or segm or panoptic/],
    [
      ['eval', '--task', 'bbox', '--annotations', 'a', '--results', 'b', '--save-results', 'c'],
      /--save-results belongs to --images/,
    ],
    ...[
      ['--checkpoint', 'c.pth'],
      ['--architecture', 'segnext-tiny'],
      ['--border', 'zeros'],
      ['--ema'],
      ['--cuda-graph'],
      ['--device', 'cpu'],
      ['--dtype', 'float32'],
      ['--threads', '1'],
      ['--batch', '2'],
    ].map((option): [string[], RegExp] => [
      ['eval', '--task', 'bbox', '--annotations', 'a', '--results', 'b', ...option],
      new RegExp(`${option[0]} belongs to --images`),
    ]),
    [['eval', '--results', 'b', '--nmf-seed', '1'], /--nmf-seed belongs to --images/],
    [
      ['eval', 'a', '--task', 'panoptic', '--annotations', 'b', '--result-pngs', 'c'],
      /--result-pngs belongs to --results/,
    ],
    [['eval', '--results', 'b'], /expected --labels and --classes beside --results/],
    [['eval', 'a', '--classes', 'b'], /--classes belongs to --results/],
    [['eval', '--results', 'b', '--classes', 'a,a'], /different names/],
    [['eval', '--task', 'boxes'], /Allowed choices are bbox, segm, panoptic, semantic/],
    [['eval', '--task', 'bbox', '--max-detections', '1,2'], /three integers from 1/],
  ])('%j ends with exit code 2', async (args, message) => {
    const { code, stderr } = await cli(args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
