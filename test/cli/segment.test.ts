import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { cli, inFolder, ROOT } from './run';

const VAL = join(ROOT, 'models', 'layout', 'val');
const PAGE = join(VAL, 'page_00.png');

/** A small part of a bundled page, as a file. */
async function makePage(file: string, left = 0): Promise<string> {
  await sharp(PAGE).extract({ left, top: 0, width: 160, height: 128 }).toFile(file);
  return file;
}

describe('freqfusion segment', () => {
  it('writes an overlay of the bundled page and prints class areas and time', async () => {
    await inFolder(async (folder) => {
      const out = join(folder, 'out.png');
      const { code, stdout, stderr } = await cli(['segment', PAGE, '-o', out]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      const { width, height } = await sharp(PAGE).metadata();
      expect(stdout).toContain(`${width} x ${height} pixels`);
      expect(stdout).toMatch(/^ {2}background +\d+\.\d % +\d+ pixels$/m);
      expect(stdout).toMatch(/^wrote .*out\.png \(inference /m);
      const overlay = await sharp(out).metadata();
      expect(overlay.format).toBe('png');
      expect(overlay.width! * overlay.height!).toBeGreaterThanOrEqual(width! * height!);
    });
  });

  it('writes labels at the size of the image, one byte a pixel', async () => {
    await inFolder(async (folder) => {
      const image = await makePage(join(folder, 'page.jpg'));
      const out = join(folder, 'labels.png');
      expect((await cli(['segment', image, '-o', out, '--format', 'labels'])).code).toBe(0);
      const { data, info } = await sharp(out)
        .toColourspace('b-w')
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect(info).toMatchObject({ width: 160, height: 128, channels: 1 });
      expect((await sharp(out).metadata()).channels).toBe(1);
      expect(Math.max(...data)).toBeLessThan(5);
    });
  });

  it('writes logits that inspect can read', async () => {
    await inFolder(async (folder) => {
      const image = await makePage(join(folder, 'page.png'));
      const out = join(folder, 'page.safetensors');
      expect((await cli(['segment', image, '-o', out, '--format', 'logits'])).code).toBe(0);
      const { tensors } = JSON.parse((await cli(['inspect', out, '--json'])).stdout);
      expect(tensors).toHaveLength(1);
      expect(tensors[0]).toMatchObject({ name: 'logits', dtype: 'float32' });
      expect(tensors[0].shape[0]).toBe(5);
    });
  });

  it('writes many into a folder that it makes, named as the images, and prints JSON', async () => {
    await inFolder(async (folder) => {
      mkdirSync(join(folder, 'in'));
      await makePage(join(folder, 'in', 'a.png'));
      await makePage(join(folder, 'in', 'b.webp'), 100);
      const out = join(folder, 'made', 'here');
      const { code, stdout } = await cli([
        'segment',
        join(folder, 'in', '*'),
        '-o',
        out,
        '--format',
        'labels',
        '--json',
      ]);
      expect(code).toBe(0);
      const result = JSON.parse(stdout);
      expect(readdirSync(out).sort()).toEqual(['a.png', 'b.png']);
      expect(result).toMatchObject({
        format: 'labels',
        failed: [],
        model: { dtype: 'float32', device: 'cpu' },
      });
      expect(result.images).toHaveLength(2);
      for (const { areas, width, height, milliseconds } of result.images) {
        expect(areas.reduce((sum: number, { pixels }: { pixels: number }) => sum + pixels, 0)).toBe(
          width * height,
        );
        expect(milliseconds.total).toBeGreaterThan(0);
      }
    });
  });

  it('takes images together that have one size, without changing a result', async () => {
    await inFolder(async (folder) => {
      const images = [0, 100, 200].map((left) => makePage(join(folder, `page-${left}.png`), left));
      const args = ['segment', ...(await Promise.all(images)), '--format', 'labels', '-o'];
      const [alone, together] = [join(folder, 'alone'), join(folder, 'together')];
      expect(await cli([...args, alone])).toMatchObject({ code: 0, stderr: '' });
      expect(await cli([...args, together, '--batch', '3'])).toMatchObject({ code: 0, stderr: '' });
      expect(readdirSync(together)).toEqual(readdirSync(alone));
      for (const name of readdirSync(alone)) {
        const [want, got] = await Promise.all(
          [alone, together].map((place) => sharp(join(place, name)).raw().toBuffer()),
        );
        const other = want!.filter((label, i) => label !== got![i]).length;
        expect(other / want!.length).toBeLessThan(1e-3);
      }
      expect((await cli([...args, together, '--batch', '0'])).code).toBe(2);
    });
  });

  it('goes on after an image that fails where it is told to, and exits with 1', async () => {
    await inFolder(async (folder) => {
      const image = await makePage(join(folder, 'good.png'));
      writeFileSync(join(folder, 'bad.png'), 'no image');
      const args = ['segment', join(folder, 'bad.png'), image, '-o', join(folder, 'out')];
      const stopped = await cli(args);
      expect(stopped.code).toBe(3);
      expect(stopped.stderr).toMatch(/^error: .*bad\.png/);
      const { code, stdout, stderr } = await cli([...args, '--continue-on-error', '--format', 'labels']);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^error: .*bad\.png/);
      expect(stdout).toMatch(/1 image in .*, 1 failed/);
      expect(readdirSync(join(folder, 'out'))).toContain('good.png');
    });
  });

  it('reports two images that would share a result instead of losing one', async () => {
    await inFolder(async (folder) => {
      const images = [await makePage(join(folder, 'a.jpg')), await makePage(join(folder, 'a.png'))];
      const out = join(folder, 'out');
      const { code, stderr } = await cli(['segment', ...images, '-o', out]);
      expect(stderr).toMatch(/a\.png: its result .* is already the one of .*a\.jpg/);
      expect(code).toBe(2);
      expect(existsSync(out)).toBe(false);
      expect((await cli(['segment', ...images, '-o', out, '--continue-on-error'])).code).toBe(1);
      expect(readdirSync(out)).toEqual(['a.png']);
    });
  });

  it('never writes over an image', async () => {
    await inFolder(async (folder) => {
      const image = await makePage(join(folder, 'a.png'));
      const before = readFileSync(image);
      for (const out of [image, folder]) {
        const { code, stderr } = await cli(['segment', image, '-o', out]);
        expect(stderr).toMatch(/would replace the image/);
        expect(code).toBe(2);
      }
      expect(readFileSync(image).equals(before)).toBe(true);
    });
  });

  it.each([
    [['none.png', '-o', 'out.png'], 3, /there is no file none\.png/],
    [[PAGE, '-o', join(PAGE, 'below', 'out.png')], 5, /cannot be made|cannot be written/],
    [[PAGE, '-o', 'out.png', '--max-pixels', '100'], 3, /100/],
    [[PAGE, '-o', 'out.png', '--checkpoint', 'none.pth'], 3, /none\.pth/],
    [[PAGE, '-o', 'out.png', '--architecture', 'segnet'], 2, /architecture/],
    [[PAGE, '-o', 'out.png', '--crop', '64'], 2, /need --mode slide/],
    [[PAGE, '-o', 'out.bmp'], 2, /ending in \.png/],
  ])('%j ends with its own exit code', async (args, expected, message) => {
    await inFolder(async (cwd) => {
      const { code, stderr } = await cli(['segment', ...args], { cwd });
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(code).toBe(expected);
      expect(readdirSync(cwd)).toEqual([]);
    });
  });

  it('slides a window over the image', async () => {
    await inFolder(async (folder) => {
      const image = await makePage(join(folder, 'page.png'));
      const out = join(folder, 'out.png');
      const args = [
        'segment',
        image,
        '-o',
        out,
        '--format',
        'labels',
        '--mode',
        'slide',
        '--crop',
        '96',
        '--stride',
        '64',
      ];
      expect(await cli(args)).toMatchObject({ code: 0, stderr: '' });
    });
  });
});
