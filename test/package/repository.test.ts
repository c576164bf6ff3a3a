import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, trackedFiles } from './commands';

const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8');
const manifest = JSON.parse(read('package.json'));
const files = trackedFiles();
const sources = files.filter((name) =>
  /\.(ts|mts|cts|mjs|cjs|js|py|cpp|cc|h|cmake|md|json|gyp|txt)$|^\.ci\//.test(name),
);

test('no tracked file names a registry host or a path of one machine', () => {
  const parts = [
    'registry.npm' + 'js',
    'files.python' + 'hosted',
    'pypi.' + 'org',
    'deb.deb' + 'ian',
    '/opt/' + 'pypi',
    '/opt/' + 'wheels',
    '/ro' + 'ot/',
    '/wo' + 'rk/',
    '/home/' + '\\w+/',
  ];
  const forbidden = new RegExp(parts.join('|'));
  const named = sources.filter((name) => forbidden.test(read(name)));
  expect(named).toEqual([]);
});

test('no tracked file is over 5 MB, and no source over its length', () => {
  expect(files.filter((name) => statSync(join(ROOT, name)).size > 5 * 1024 * 1024)).toEqual([]);
  const limits: [RegExp, number][] = [
    [/^native\/.*\.(cpp|cc|h)$/, 500],
    [/^(lib|scripts)\/.*\.(ts|mjs)$/, 400],
    [/^test\/.*\.(ts|py)$/, 500],
  ];
  const long = limits.flatMap(([pattern, limit]) =>
    files.filter((name) => pattern.test(name) && read(name).split('\n').length > limit + 1),
  );
  expect(long).toEqual([]);
});

test('no test is skipped, focused or left to be written', () => {
  const marks = new RegExp('\\b(it|test|describe)\\.(sk' + 'ip|on' + 'ly|to' + 'do)\\b');
  expect(files.filter((name) => /^test\/.*\.ts$/.test(name) && marks.test(read(name)))).toEqual([]);
});

test('every dependency is pinned to one version', () => {
  const all = { ...manifest.dependencies, ...manifest.devDependencies };
  const loose = Object.entries(all).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)));
  expect(loose).toEqual([]);
});

test('the lock file is that of package.json and names no host', () => {
  const lock = JSON.parse(read('package-lock.json'));
  const { dependencies, devDependencies, version, engines } = manifest;
  expect(lock.packages['']).toMatchObject({ dependencies, devDependencies, version, engines });
  expect(JSON.stringify(lock)).not.toContain('"resolved"');
});

test('the lock file has the packages of every platform: without them npm ci stops, whatever the platform', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`${path}/node_modules/${name}` in packages) && !(`node_modules/${name}` in packages),
    ),
  );
  expect(missing).toEqual([]);
});

test('npm ci runs no script of this project, and node-gyp does not start by itself', () => {
  const automatic = [
    'preinstall',
    'install',
    'postinstall',
    'prepare',
    'preprepare',
    'postprepare',
    'prepublish',
  ];
  expect(automatic.filter((name) => name in manifest.scripts)).toEqual([]);
  expect(manifest.gypfile).toBe(false);
});

test('cmake-js needs no network: the Node-API version is stated, and the headers are a dependency', () => {
  expect(manifest.binary.napi_versions).toEqual([8]);
  expect(Object.keys(manifest.dependencies)).toEqual(
    expect.arrayContaining(['cmake-js', 'node-addon-api', 'node-api-headers']),
  );
});

test('the newest released entry of CHANGELOG.md is the version of package.json', () => {
  expect(/^## (\d\S*)/m.exec(read('CHANGELOG.md'))?.[1]).toBe(manifest.version);
});
