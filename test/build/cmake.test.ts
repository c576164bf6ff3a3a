import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SetupWorld } from './setup-world';

const ROOT = join(__dirname, '..', '..');
let world: SetupWorld;

beforeEach(() => {
  world = new SetupWorld();
});
afterEach(() => world.remove());

function configure(torch: string): { status: number | null; words: string } {
  const args = ['-S', ROOT, '-B', join(world.folder, 'build'), `-DFREQFUSION_TORCH=${torch}`];
  const { status, stdout, stderr } = spawnSync('cmake', args, { encoding: 'utf8' });
  return { status, words: `${stdout}${stderr}`.replace(/\s+/g, ' ') };
}

test('cmake refuses a folder that is no libtorch, and says what is missing', () => {
  const { status, words } = configure(world.folder);
  expect([status, words]).toEqual([1, expect.stringContaining('it has no include/ATen/core/Tensor.h')]);
});

test('cmake refuses a libtorch that is too old, and says which version is wanted', () => {
  const { status, words } = configure(world.writeLibtorch('old', '2.6.1'));
  expect([status, words]).toEqual([
    1,
    expect.stringMatching(/libtorch 2\.6\.1 .* is too old: 2\.7 or newer/),
  ]);
});

test('the record says with what the addon was built', () => {
  const record = JSON.parse(readFileSync(join(ROOT, 'build', 'freqfusion-build.json'), 'utf8'));
  expect(record).toMatchObject({
    torch: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    libtorch: expect.any(String),
    arch: process.arch,
  });
  expect(statSync(join(record.libtorch, 'lib')).isDirectory()).toBe(true);
});

test('a build of what is built already compiles and configures nothing, and takes seconds', () => {
  const record = JSON.parse(readFileSync(join(ROOT, 'build', 'freqfusion-build.json'), 'utf8'));
  const files = ['build/Release/freqfusion.node', 'build/CMakeCache.txt', 'dist/index.js'].map((name) =>
    join(ROOT, name),
  );
  const before = files.map((file) => statSync(file).mtimeMs);
  const since = performance.now();
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.mjs')], {
    env: { ...process.env, LIBTORCH: record.libtorch },
    stdio: 'pipe',
  });
  expect(files.map((file) => statSync(file).mtimeMs)).toEqual(before);
  expect(performance.now() - since).toBeLessThan(10_000);
});
