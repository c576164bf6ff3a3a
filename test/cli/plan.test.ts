import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError, errorLine, exitCodeOf } from '../../lib/cli/exit';
import { listImages } from '../../lib/cli/inputs';
import { integer, number, parseSize } from '../../lib/cli/options';
import { bytes, percent, seconds, table } from '../../lib/cli/output';
import { makeFolders, type OutputFormat, planOneOutput, planOutputs } from '../../lib/cli/outputs';
import { AbortError, ArgumentError, CheckpointError, ImageError, LoadError } from '../../lib/errors';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-cli-'));
  mkdirSync(at('scans', 'deep'), { recursive: true });
  for (const name of [
    'b.png',
    'a.jpg',
    'c.txt',
    'scans/two.jpeg',
    'scans/one.TIF',
    'scans/deep/three.png',
    'odd[1].png',
  ]) {
    writeFileSync(at(name), '');
  }
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the images that arguments stand for', () => {
  it('takes files in their order, and folders by name without the folders below', async () => {
    const { files, open } = await listImages([at('b.png'), at('a.jpg'), at('scans')]);
    expect(files).toEqual([at('b.png'), at('a.jpg'), at('scans', 'one.TIF'), at('scans', 'two.jpeg')]);
    expect(open).toBe(true);
  });

  it('expands patterns to images alone', async () => {
    expect((await listImages([at('**/*.{png,jpg,txt}')])).files.sort()).toEqual(
      [at('a.jpg'), at('b.png'), at('odd[1].png'), at('scans', 'deep', 'three.png')].sort(),
    );
  });

  it('reads a name that exists as a file, whatever characters it has', async () => {
    expect(await listImages([at('odd[1].png')])).toEqual({ files: [at('odd[1].png')], open: false });
  });

  it('takes each file once, through links as well', async () => {
    symlinkSync(at('a.jpg'), at('link.jpg'));
    expect((await listImages([at('a.jpg'), at('link.jpg'), at('*.jpg')])).files).toEqual([at('a.jpg')]);
  });

  it.each([
    ['a missing file', 'none.png', /there is no file/],
    ['a pattern without a match', '*.webp', /no image matches/],
  ])('refuses %s', async (_what, name, message) => {
    await expect(listImages([at(name)])).rejects.toThrow(message);
  });

  it('refuses a folder without images', async () => {
    mkdirSync(at('empty'));
    await expect(listImages([at('empty')])).rejects.toThrow(/holds no images/);
  });
});

describe('where results go', () => {
  const plan = (files: string[], output: string, format: OutputFormat = 'overlay', open = false) =>
    planOutputs({ files, open }, output, format);

  it('takes -o as a file for one image', () => {
    expect(plan([at('a.jpg')], at('out.webp'))).toEqual([{ image: at('a.jpg'), output: at('out.webp') }]);
  });

  it('takes -o as a folder for many, and names results as their images', () => {
    expect(plan([at('a.jpg'), at('b.png')], at('out'), 'logits').map(({ output }) => output)).toEqual([
      at('out', 'a.safetensors'),
      at('out', 'b.safetensors'),
    ]);
  });

  it('puts the result of one image into a folder that exists or ends in a slash', () => {
    expect(plan([at('a.jpg')], at('scans'))[0]!.output).toBe(at('scans', 'a.png'));
    expect(plan([at('a.jpg')], `${at('new')}/`, 'labels')[0]!.output).toBe(at('new', 'a.png'));
    expect(plan([at('a.jpg')], at('new'), 'labels', true)[0]!.output).toBe(at('new', 'a.png'));
  });

  it('reports two images with one result', () => {
    const [first, second] = plan([at('x', 'a.jpg'), at('y', 'A.png')], at('out'));
    expect(first!.problem).toBeUndefined();
    expect(second!.problem).toMatch(/already the one of .*a\.jpg/);
  });

  it('never lets a result replace an image, by whatever name', () => {
    expect(plan([at('b.png')], at('b.png'))[0]!.problem).toMatch(/would replace the image/);
    expect(plan([at('b.png')], folder)[0]!.problem).toMatch(/would replace/);
    symlinkSync(at('b.png'), at('link.png'));
    expect(plan([at('b.png')], at('link.png'))[0]!.problem).toMatch(/would replace/);
  });

  it.each([
    ['overlay', 'out.txt', /ending in \.png, \.jpg/],
    ['labels', 'out.jpg', /ending in \.png/],
    ['logits', 'out.png', /ending in \.safetensors/],
    ['json', 'out.png', /ending in \.json/],
    ['masks', 'c.txt', /names a folder/],
  ] as const)('refuses a file for %s that cannot hold it', (format, name, message) => {
    expect(() => plan([at('a.jpg')], at(name), format)).toThrow(message);
  });

  it('puts the masks of one image into -o itself, those of many into a folder each', () => {
    expect(plan([at('a.jpg')], at('scans'), 'masks')[0]!.output).toBe(at('scans'));
    expect(plan([at('a.jpg'), at('b.png')], at('out'), 'masks')[1]!.output).toBe(at('out', 'b'));
  });

  it('lets all images share one results file', () => {
    const images = { files: [at('a.jpg'), at('b.png')], open: true };
    expect(planOneOutput(images, at('r.json'), 'coco').map(({ output }) => output)).toEqual([
      at('r.json'),
      at('r.json'),
    ]);
    expect(() => planOneOutput(images, at('scans'), 'coco')).toThrow(/-o names one file/);
    expect(() => planOneOutput(images, at('r.txt'), 'coco')).toThrow(/ending in \.json/);
  });

  it('refuses a file where a folder is needed', () => {
    expect(() => plan([at('a.jpg'), at('b.png')], at('c.txt'))).toThrow(/-o must name a folder/);
    expect(() => makeFolders([{ image: 'a', output: at('c.txt', 'x', 'a.png') }])).toThrow(/cannot be made/);
  });
});

describe('words and numbers', () => {
  it('parses sizes, integers and shares', () => {
    expect(parseSize('512')).toEqual([512, 512]);
    expect(parseSize('256x384')).toEqual([256, 384]);
    expect(() => parseSize('0x5')).toThrow();
    expect(integer(1, 8)('8')).toBe(8);
    expect(integer(1)('1e3')).toBe(1000);
    for (const bad of ['0', '1.5', 'x', '', ' 3']) expect(() => integer(1, 8)(bad)).toThrow();
    expect(number(0, 1)('0.5')).toBe(0.5);
    for (const bad of ['1.1', 'NaN', '']) expect(() => number(0, 1)(bad)).toThrow();
  });

  it('lays out tables without trailing spaces', () => {
    expect(
      table(
        [
          ['a', '', '1'],
          ['bbb', '', '20'],
        ],
        ['left', 'left', 'right'],
      ),
    ).toEqual(['a     1', 'bbb  20']);
  });

  it('words durations, sizes and shares', () => {
    expect([0.0042, 0.84, 9.5, 61, 185].map(seconds)).toEqual([
      '4.2 ms',
      '840 ms',
      '9.50 s',
      '1 min 01 s',
      '3 min 05 s',
    ]);
    expect([999, 14_200_000].map(bytes)).toEqual(['999 bytes', '14.2 MB']);
    expect(percent(0.1234)).toBe('12.3 %');
  });

  it('gives every kind of error its exit code', () => {
    expect(exitCodeOf(new CliError('x'))).toBe(2);
    expect(exitCodeOf(new CliError('x', 3))).toBe(3);
    expect(exitCodeOf(new ArgumentError('ERR_RANGE', 'x'))).toBe(2);
    expect(exitCodeOf(new CheckpointError('ERR_CHECKPOINT_EMPTY', 'x'))).toBe(3);
    expect(exitCodeOf(new ImageError('ERR_IMAGE_MISSING', 'x'))).toBe(3);
    expect(exitCodeOf(new ImageError('ERR_IMAGE_WRITE', 'x'))).toBe(5);
    expect(exitCodeOf(new LoadError('ERR_ADDON_MISSING', 'x'))).toBe(4);
    expect(exitCodeOf(new AbortError('ERR_ABORTED', 'x'))).toBe(130);
    expect(exitCodeOf(new TypeError('x'))).toBe(6);
  });

  it('words an error in one line, with its code and the way out', () => {
    expect(errorLine(new ArgumentError('ERR_CUDA_MISSING', 'no GPU\n  here'))).toBe(
      'no GPU here. Try --device cpu. [ERR_CUDA_MISSING]',
    );
    expect(errorLine(new CliError('nothing to do'))).toBe('nothing to do');
  });
});
