import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { cli, inFolder } from './run';

const [HEIGHT, WIDTH, CHANNELS] = [12, 16, 2];

/** A .npy file of float32 [C, H, W]. */
function writeNpy(file: string, values: Float32Array): void {
  const header = Buffer.from(
    `{'descr': '<f4', 'fortran_order': False, 'shape': (${CHANNELS}, ${HEIGHT}, ${WIDTH}), }\n`,
  );
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  writeFileSync(
    file,
    Buffer.concat([
      Buffer.from('\u0093NUMPY\u0001\u0000', 'latin1'),
      length,
      header,
      Buffer.from(values.buffer),
    ]),
  );
}

async function makeData(folder: string, images = 2): Promise<string[]> {
  mkdirSync(join(folder, 'labels'));
  mkdirSync(join(folder, 'features'));
  for (let image = 0; image < images; image += 1) {
    const labels = Buffer.from(
      Array.from({ length: HEIGHT * WIDTH }, (_, i) => (i % WIDTH < WIDTH / 2 ? 0 : 1)),
    );
    const raw = { width: WIDTH, height: HEIGHT, channels: 1 as const };
    await sharp(labels, { raw })
      .toColourspace('b-w')
      .png()
      .toFile(join(folder, 'labels', `${image}.png`));
    const own = (label: number) => Array.from(labels, (each) => (each === label ? 1 : 0.2));
    writeNpy(join(folder, 'features', `${image}.npy`), Float32Array.from([...own(0), ...own(1)]));
  }
  return [
    'similarity',
    '--features',
    join(folder, 'features'),
    '--labels',
    join(folder, 'labels'),
    '--label-map',
    'identity',
    '--classes',
    '2',
    '--size',
    '12x16',
    '--edge',
    '3',
  ];
}

describe('freqfusion similarity', () => {
  it('prints figures by class and writes a picture', async () => {
    await inFolder(async (folder) => {
      const picture = join(folder, 'plot.png');
      const { code, stdout } = await cli([
        ...(await makeData(folder)),
        '-o',
        picture,
        '--names',
        'left,right',
      ]);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^left +1\.000 ± 0\.000 +\S+ ± \S+ +100\.0 %/m);
      expect(stdout).toMatch(/^margin 0\.6/m);
      expect((await sharp(picture).metadata()).format).toBe('png');
    });
  });

  it('prints JSON', async () => {
    await inFolder(async (folder) => {
      const { stdout } = await cli([...(await makeData(folder)), '--json']);
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({ images: 2, pixelRightRate: 1 });
      expect(result.intraMean).toBeCloseTo(1, 5);
      expect(result.classes[0]).toMatchObject({ label: 0, name: null });
    });
  });

  it('refuses folders that do not pair up, are missing, or hold something else', async () => {
    await inFolder(async (folder) => {
      const args = await makeData(folder);
      writeNpy(join(folder, 'features', 'more.npy'), new Float32Array(CHANNELS * HEIGHT * WIDTH));
      const odd = await cli(args);
      expect(odd.stderr).toMatch(/holds 3 \.npy files and .* 2 label PNGs/);
      expect(odd.code).toBe(3);
      expect((await cli([...args, '--limit', '2'])).code).toBe(0);
      writeFileSync(join(folder, 'features', '0.npy'), 'no numpy');
      expect((await cli([...args, '--limit', '2'])).stderr).toMatch(/ERR_NPY_FORMAT/);
      expect((await cli(['similarity', '--features', 'none', '--labels', join(folder, 'labels')])).code).toBe(
        3,
      );
    });
  });
});
