import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, run, typeCheck } from './commands';

const ADDON = join(ROOT, 'build', 'Release', 'freqfusion.node');
const ONE_TENSOR = "tensor(Float32Array.of(1, 2), [2]).data().then((data) => console.log(data.join(' ')))";

interface PackReport {
  filename: string;
  size: number;
  files: { path: string; size: number }[];
}

let folder: string;
let packed: PackReport;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-package-'));
  const { status, stdout, stderr } = run('npm', [
    'pack',
    '--json',
    '--ignore-scripts',
    '--pack-destination',
    folder,
  ]);
  if (status !== 0) throw new Error(stderr);
  packed = JSON.parse(stdout)[0];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the packed files', () => {
  test('hold what a user needs to load, to build and to run', () => {
    const paths = packed.files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'package.json',
        'LICENSE',
        'NOTICE',
        'README.md',
        'CHANGELOG.md',
        'SECURITY.md',
        'CMakeLists.txt',
        'binding.gyp',
        'cmake/Libtorch.cmake',
        'dist/index.js',
        'dist/index.mjs',
        'dist/index.d.ts',
        'dist/index.d.mts',
        'dist/server/index.js',
        'dist/server/index.mjs',
        'dist/server/index.d.ts',
        'dist/server/index.d.mts',
        'dist/cli/main.js',
        'native/ops/carafe.cpp',
        'native/ops/sources.cmake',
        'native/modules/sources.cmake',
        'native/node/addon.cc',
        'scripts/build.mjs',
        'scripts/libtorch/main.mjs',
        'scripts/libtorch/unpack.py',
        'models/layout/config.json',
        'docs/install.md',
      ]),
    );
  });

  test('hold no build, no test, no cache and nothing of the workplace', () => {
    const unwanted =
      /^(build|build-gyp|node_modules|test|bench|demo|\.ci|\.git|\.cache|coverage)\/|__pycache__|\.pyc$|\.node$|\.so$|stamp\.json$/;
    expect(packed.files.map(({ path }) => path).filter((path) => unwanted.test(path))).toEqual([]);
  });

  test('stay small: under 13 MB packed, and no file over 6 MB', () => {
    expect(packed.size).toBeLessThan(13e6);
    expect(packed.files.filter(({ size }) => size > 6e6)).toEqual([]);
  });
});

describe('the package in an empty project', () => {
  const consumer = (): string => join(folder, 'consumer');
  const node = (args: string[]) =>
    run(process.execPath, args, consumer(), { ...process.env, FREQFUSION_ADDON: ADDON });

  beforeAll(() => {
    mkdirSync(consumer());
    writeFileSync(join(consumer(), 'package.json'), '{ "name": "consumer", "private": true }\n');
    const tarball = join(folder, packed.filename);
    const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', tarball];
    const { status, stderr } = run('npm', args, consumer());
    if (status !== 0) throw new Error(stderr);
  }, 300_000);

  test('loads with require', () => {
    const { stdout, stderr } = node(['-e', `const { tensor } = require('freqfusion'); ${ONE_TENSOR}`]);
    expect([stdout, stderr]).toEqual(['1 2\n', '']);
  });

  test('loads with require on the oldest supported Node, which cannot require an ES module', () => {
    const flag = '--no-experimental-require-module';
    const args = ['-e', `const { tensor } = require('freqfusion'); ${ONE_TENSOR}`];
    const { stdout, stderr } = node(process.allowedNodeEnvironmentFlags.has(flag) ? [flag, ...args] : args);
    expect([stdout, stderr]).toEqual(['1 2\n', '']);
  });

  test('loads with import, and is the same instance as with require', () => {
    const script = `
      import { createRequire } from 'node:module';
      import { Tensor, tensor } from 'freqfusion';
      if (createRequire(import.meta.url)('freqfusion').Tensor !== Tensor) throw new Error('two instances');
      ${ONE_TENSOR}`;
    const { stdout, stderr } = node(['--input-type=module', '-e', script]);
    expect([stdout, stderr]).toEqual(['1 2\n', '']);
  });

  test('every name of the CommonJS module is a name of the ES module', () => {
    const script = `
      import { createRequire } from 'node:module';
      import * as names from 'freqfusion';
      const all = Object.keys(createRequire(import.meta.url)('freqfusion'));
      console.log(JSON.stringify(all.filter((name) => !(name in names))));`;
    expect(node(['--input-type=module', '-e', script]).stdout).toBe('[]\n');
  });

  test('the server is an entry of its own, the same with require and import', () => {
    const script = `
      import { createRequire } from 'node:module';
      import * as names from 'freqfusion/server';
      const all = createRequire(import.meta.url)('freqfusion/server');
      if (all.InferenceServer !== names.InferenceServer) throw new Error('two instances');
      console.log(JSON.stringify(Object.keys(all).filter((name) => !(name in names))));
      console.log(names.defaultServeConfig().models.map(({ name }) => name).join(' '));`;
    const { stdout, stderr } = node(['--input-type=module', '-e', script]);
    expect([stdout, stderr]).toEqual(['[]\nlayout shapes\n', '']);
  });

  test('jobs over Redis are an entry of their own, the same with require and import', () => {
    const script = `
      import { createRequire } from 'node:module';
      import * as names from 'freqfusion/bulk';
      const all = createRequire(import.meta.url)('freqfusion/bulk');
      if (all.submitRun !== names.submitRun) throw new Error('two instances');
      console.log(JSON.stringify(Object.keys(all).filter((name) => !(name in names))));
      console.log(names.redactUrl('redis://user:secret@host:6379'));`;
    const { stdout, stderr } = node(['--input-type=module', '-e', script]);
    expect([stdout.split('\n')[0], stderr]).toEqual(['[]', '']);
    expect(stdout).not.toContain('secret');
  });

  test('says how to build the addon where it is not built', () => {
    const script = `try { require('freqfusion').memoryStats() } catch (error) { console.log(error.code, error.message) }`;
    const { FREQFUSION_ADDON: _, ...env } = process.env;
    const { stdout } = run(process.execPath, ['-e', script], consumer(), env);
    expect(stdout).toMatch(/^ERR_ADDON_MISSING .*npm explore freqfusion -- npm run build:native/);
  });

  test('the command runs', () => {
    const { status, stdout } = run(
      join(consumer(), 'node_modules/.bin/freqfusion'),
      ['--version'],
      consumer(),
    );
    expect([status, stdout.trim()]).toEqual([0, require(join(ROOT, 'package.json')).version]);
  });

  test('type-checks for ES modules, CommonJS and a bundler', () => {
    cpSync(join(ROOT, 'test/types'), join(consumer(), 'types'), { recursive: true });
    mkdirSync(join(consumer(), 'node_modules/@types'), { recursive: true });
    for (const name of ['@types/node', 'undici-types']) {
      cpSync(join(ROOT, 'node_modules', name), join(consumer(), 'node_modules', name), { recursive: true });
    }
    expect(typeCheck('types', consumer())).toBe('');
    expect(typeCheck('types/tsconfig.bundler.json', consumer())).toBe('');
  });
});
