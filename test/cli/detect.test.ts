import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { saveSafetensors } from '../../lib/checkpoint/save';
import { imageIds } from '../../lib/cli/coco-output';
import { decodeRle, fromCocoRle } from '../../lib/coco/rle';
import { PanopticFpn } from '../../lib/modules/two-stage-detector';
import { cli, inFolder, ROOT } from './run';

const VAL = join(ROOT, 'models', 'shapes', 'val');
const PICTURE = join(VAL, 'picture_00.png');
const SECOND = join(VAL, 'picture_01.png');

const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));

describe('freqfusion detect', () => {
  it('writes an overlay of the size of the image and prints what was found', async () => {
    await inFolder(async (folder) => {
      const out = join(folder, 'out.png');
      const { code, stdout, stderr } = await cli(['detect', PICTURE, '-o', out]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      const { width, height } = await sharp(PICTURE).metadata();
      expect(stdout).toContain(`${width} x ${height} pixels, `);
      expect(stdout).toMatch(/^ {2}class +score +x1 +y1 +x2 +y2$/m);
      expect(stdout).toMatch(/^ {2}circle +1\.000 +\d+\.\d +\d+\.\d +\d+\.\d +\d+\.\d$/m);
      expect(stdout).toMatch(/^wrote .*out\.png \(inference /m);
      expect(await sharp(out).metadata()).toMatchObject({ width, height });
      expect(readFileSync(out).equals(readFileSync(PICTURE))).toBe(false);
    });
  });

  it('prints JSON, with thresholds', async () => {
    await inFolder(async (folder) => {
      const run = async (...flags: string[]) => {
        const { code, stdout } = await cli([
          'detect',
          PICTURE,
          '-o',
          join(folder, 'a.png'),
          '--json',
          ...flags,
        ]);
        expect(code).toBe(0);
        return JSON.parse(stdout);
      };
      const result = await run('--score', '0.5');
      expect(result).toMatchObject({
        format: 'overlay',
        failed: [],
        model: { architecture: 'shapes-mask-rcnn-r18-freqfusion', classes: { length: 5 } },
      });
      const [{ detections, milliseconds }] = result.images;
      expect(detections.length).toBeGreaterThan(0);
      for (const { score } of detections) expect(score).toBeGreaterThan(0.5);
      expect(milliseconds.total).toBeGreaterThan(0);
      expect((await run('--max', '1')).images[0].detections).toHaveLength(1);
    });
  });

  it('takes the overlap from which the better of two boxes stays, and how strongly masks cover', async () => {
    await inFolder(async (folder) => {
      const run = async (name: string, ...flags: string[]) => {
        const out = join(folder, name);
        const { code, stdout } = await cli([
          'detect',
          PICTURE,
          '-o',
          out,
          '--json',
          '--score',
          '0.05',
          ...flags,
        ]);
        expect(code).toBe(0);
        return { detections: JSON.parse(stdout).images[0].detections, bytes: readFileSync(out) };
      };
      const few = await run('few.png', '--iou', '0');
      const many = await run('many.png', '--iou', '1');
      expect(many.detections.length).toBeGreaterThan(few.detections.length);
      const clear = await run('clear.png', '--iou', '0', '--opacity', '0');
      expect(clear.detections).toEqual(few.detections);
      expect(clear.bytes.equals(few.bytes)).toBe(false);
    });
  });

  it('writes the detections of each image, with masks, into a folder', async () => {
    await inFolder(async (folder) => {
      const { code } = await cli(['detect', PICTURE, SECOND, '-o', join(folder, 'made'), '--format', 'json']);
      expect(code).toBe(0);
      expect(readdirSync(join(folder, 'made')).sort()).toEqual(['picture_00.json', 'picture_01.json']);
      const { image, detections, width, height } = json(folder, 'made', 'picture_00.json');
      expect(image).toBe(PICTURE);
      for (const { mask, box } of detections) {
        expect(box).toHaveLength(4);
        expect(decodeRle(fromCocoRle(mask))).toHaveLength(width * height);
      }
    });
  });

  it('writes one COCO results file for all images, whatever the batch', async () => {
    await inFolder(async (folder) => {
      for (const [i, name] of ['000000000139.png', '7.png'].entries()) {
        copyFileSync(join(VAL, `picture_0${i + 8}.png`), join(folder, name));
      }
      const run = async (out: string, ...flags: string[]) => {
        const args = ['detect', folder, '-o', join(folder, out), '--format', 'coco', ...flags];
        expect(await cli(args)).toMatchObject({ code: 0, stderr: '' });
        return json(folder, out) as { image_id: number; category_id: number; score: number }[];
      };
      const results = await run('one.json');
      expect(new Set(results.map(({ image_id: id }) => id))).toEqual(new Set([139, 7]));
      const all = await run('all.json', '--score', '0.01');
      expect(Math.min(...all.map(({ score }) => score))).toBeLessThan(0.3);
      expect(results[0]).toMatchObject({ bbox: { length: 4 }, segmentation: { counts: expect.any(String) } });
      const rounded = (list: typeof results) =>
        list.map(({ image_id: id, category_id: category, score }) => [id, category, score.toFixed(2)]);
      expect(rounded(await run('two.json', '--batch', '2'))).toEqual(rounded(results));
    });
  });

  it('writes the mask of every object as a PNG', async () => {
    await inFolder(async (folder) => {
      const run = (...args: string[]) => cli(['detect', ...args, '--format', 'masks', '--score', '0.9']);
      expect((await run(PICTURE, '-o', join(folder, 'one'))).code).toBe(0);
      const names = readdirSync(join(folder, 'one'));
      expect(names[0]).toBe('000_circle.png');
      const { data, info } = await sharp(join(folder, 'one', names[0]!))
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect([info.width, info.height]).toEqual([320, 256]);
      expect(new Set(data)).toEqual(new Set([0, 255]));
      expect((await run(PICTURE, SECOND, '-o', join(folder, 'many'))).code).toBe(0);
      expect(readdirSync(join(folder, 'many')).sort()).toEqual(['picture_00', 'picture_01']);
    });
  });

  it('writes panoptic PNGs and the JSON beside them', async () => {
    await inFolder(async (folder) => {
      const config = await panopticModel(folder);
      const out = join(folder, 'out', 'results.json');
      const args = ['detect', PICTURE, SECOND, '-o', out, '--checkpoint', config, '--format', 'panoptic'];
      expect(await cli(args)).toMatchObject({ code: 0, stderr: '' });
      const { images, annotations, categories } = json(out);
      expect(images).toEqual([
        { id: 1, file_name: 'picture_00.png', width: 320, height: 256 },
        { id: 2, file_name: 'picture_01.png', width: 320, height: 256 },
      ]);
      expect(categories).toEqual([
        { id: 1, name: 'blob', isthing: 1 },
        { id: 2, name: 'sky', isthing: 0 },
        { id: 3, name: 'ground', isthing: 0 },
      ]);
      for (const { file_name: name, segments_info: infos } of annotations) {
        const { data, info } = await sharp(join(folder, 'out', 'results', name))
          .raw()
          .toBuffer({ resolveWithObject: true });
        const areas = new Map<number, number>();
        for (let i = 0; i < data.length; i += info.channels) {
          const id = data[i]! + 256 * data[i + 1]! + 65536 * data[i + 2]!;
          areas.set(id, (areas.get(id) ?? 0) + 1);
        }
        for (const { id, area } of infos) expect(areas.get(id)).toBe(area);
      }
      const overlay = join(folder, 'overlay.png');
      const { stdout } = await cli(['detect', PICTURE, '-o', overlay, '--checkpoint', config, '--json']);
      expect(JSON.parse(stdout).images[0].segments).toEqual(expect.any(Array));
      expect(existsSync(overlay)).toBe(true);
    });
  });

  it('goes on after an image that fails where it is told to, and exits with 1', async () => {
    await inFolder(async (folder) => {
      writeFileSync(join(folder, 'bad.png'), 'no image');
      const args = [
        'detect',
        join(folder, 'bad.png'),
        PICTURE,
        '-o',
        join(folder, 'out.json'),
        '--format',
        'coco',
      ];
      const stopped = await cli(args);
      expect(stopped.code).toBe(3);
      expect(stopped.stderr).toMatch(/^error: .*bad\.png/);
      expect(readdirSync(folder)).toEqual(['bad.png']);
      const { code, stdout } = await cli([...args, '--continue-on-error', '--batch', '2']);
      expect(code).toBe(1);
      expect(stdout).toMatch(/1 image in .*, 1 failed/);
      expect(json(folder, 'out.json').length).toBeGreaterThan(0);
    });
  });

  it.each([
    [['none.png', '-o', 'out.png'], 3, /there is no file none\.png/],
    [[PICTURE, '-o', 'out.bmp'], 2, /ending in \.png/],
    [[PICTURE, '-o', 'out.png', '--format', 'coco'], 2, /ending in \.json for -o with --format coco/],
    [[PICTURE, '-o', 'out.json', '--format', 'panoptic'], 2, /needs a panoptic model/],
    [[PICTURE, '-o', 'out.png', '--checkpoint', 'none.pth'], 3, /none\.pth/],
    [
      [PICTURE, '-o', 'out.png', '--checkpoint', join(ROOT, 'models', 'layout')],
      2,
      /loadModel \(freqfusion segment\)/,
    ],
    [[PICTURE, '-o', 'out.png', '--architecture', 'yolo'], 2, /architecture/],
    [[PICTURE, '-o', 'out.png', '--score', '2'], 2, /number from 0 to 1/],
    [[PICTURE, '-o', 'out.png', '--iou', '-0.1'], 2, /number from 0 to 1/],
    [[PICTURE, '-o', 'out.png', '--opacity', '1.1'], 2, /number from 0 to 1/],
    [[PICTURE, '-o', join(PICTURE, 'below', 'out.png')], 5, /cannot be made|cannot be written/],
  ])('%j ends with its own exit code', async (args, expected, message) => {
    await inFolder(async (cwd) => {
      const { code, stderr } = await cli(['detect', ...args], { cwd });
      expect(stderr).toMatch(message);
      expect(code).toBe(expected);
      expect(readdirSync(cwd)).toEqual([]);
    });
  });
});

/** A small panoptic model that was never trained; resolves to its config.json. */
async function panopticModel(folder: string): Promise<string> {
  const place = join(folder, 'model');
  mkdirSync(place);
  const options = {
    backbone: { depth: 18, baseChannels: 8 },
    neck: { outChannels: 32, compressRatio: 4 },
    roiHead: {
      bboxHead: { fcOutChannels: 32, numClasses: 1 },
      maskHead: { convOutChannels: 16, numConvs: 1 },
    },
    semanticHead: { numThingsClasses: 1, numStuffClasses: 2, innerChannels: 16, normGroups: 4 },
    testCfg: { panoptic: { scoreThr: 0.1, stuffAreaLimit: 16 } },
  } as const;
  using network = await new PanopticFpn(options).initialize(5);
  await saveSafetensors(join(place, 'weights.safetensors'), network.stateDict());
  const config = {
    network: { kind: 'panoptic_fpn', options },
    preprocess: { resize: { mode: 'keep-ratio', scale: [128, 96] }, multiple: { divisor: 64, how: 'pad' } },
    classes: ['blob', 'sky', 'ground'],
    checkpoint: { file: 'weights.safetensors' },
  };
  writeFileSync(join(place, 'config.json'), JSON.stringify(config));
  return join(place, 'config.json');
}

describe('ids of images', () => {
  it('are the numbers that all of them are named by, or their places', () => {
    expect([...imageIds(['a/000000000139.jpg', 'b/7.png']).values()]).toEqual([139, 7]);
    expect([...imageIds(['a/139.jpg', 'b/dog.png']).values()]).toEqual([1, 2]);
    expect([...imageIds(['a/1.jpg', 'b/1.png']).values()]).toEqual([1, 2]);
  });
});
