import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');
const NATIVE = readdirSync(join(ROOT, 'native'), { recursive: true, encoding: 'utf8' }).map(
  (name) => `native/${name}`,
);

function gypList(...words: string[]): string[] {
  const script = join(ROOT, 'scripts', 'gyp-sources.mjs');
  return execFileSync(process.execPath, [script, ...words], { encoding: 'utf8' })
    .trim()
    .split('\n');
}

/** Files below native/ that contain a pattern. */
function matching(pattern: RegExp, folder = 'native/'): string[] {
  const files = NATIVE.filter((name) => name.startsWith(folder) && /\.(cpp|cc|h|cu)$/.test(name));
  return files.filter((name) => pattern.test(readFileSync(join(ROOT, name), 'utf8')));
}

test('every C++ file is built, by cmake-js and by node-gyp alike', () => {
  const listed = ['ops', 'kernels', 'modules', 'node'].flatMap((layer) => gypList(layer));
  // Of the files that call CUDA, node-gyp builds the twin that says that there is none.
  const cuda = (name: string): boolean =>
    /^native\/(ops|node)\/cuda\//.test(name) && !/absent\.cc$/.test(name);
  const written = NATIVE.filter((name) => /\.(cpp|cc)$/.test(name) && !cuda(name));
  expect([...listed].sort()).toEqual([...written].sort());
});

test('every CUDA file is in the list of cmake: node-gyp builds for the CPU alone', () => {
  const text = readFileSync(join(ROOT, 'native', 'ops', 'cuda', 'sources.cmake'), 'utf8');
  const listed = [...text.matchAll(/\$\{cuda\}\/(\w+\.(?:cu|cpp))/g)].map(
    ([, name]) => `native/ops/cuda/${name}`,
  );
  const written = NATIVE.filter((name) => /^native\/ops\/cuda\/.*\.(cu|cpp)$/.test(name));
  expect(listed.sort()).toEqual([...written].sort());
});

test('only the CUDA files of the addon see CUDA, and cmake has them all', () => {
  const text = readFileSync(join(ROOT, 'native', 'node', 'cuda', 'sources.cmake'), 'utf8');
  const listed = [...text.matchAll(/\$\{node_cuda\}\/(\w+\.cc)/g)].map(
    ([, name]) => `native/node/cuda/${name}`,
  );
  const calling = matching(/#include <(cuda|c10\/cuda|ATen\/cuda)/, 'native/node/');
  expect(calling.sort()).toEqual(listed.sort());
  expect(matching(/#include <(cuda|c10\/cuda|ATen\/cuda)/, 'native/modules/')).toEqual([]);
});

test('the CUDA kernels see no header of libtorch: nvcc compiles them in seconds, against any version', () => {
  const kernels = NATIVE.filter((name) => /^native\/ops\/cuda\/.*\.(cu|h)$/.test(name));
  const glue = ['carafe_into.h', 'device.h', 'pointwise.h'].map((name) => `native/ops/cuda/${name}`);
  const reading = kernels.filter((name) =>
    /#include <(ATen|c10|torch)\//.test(readFileSync(join(ROOT, name), 'utf8')),
  );
  expect(reading.sort()).toEqual(glue.sort());
});

test('node-gyp compiles the kernels with the flags of cmake-js', () => {
  expect(gypList('flags', 'avx2')).toEqual(expect.arrayContaining(['-mavx2', '-mfma']));
  expect(gypList('flags', 'avx512')).toEqual(expect.arrayContaining(['-mavx512f']));
  expect(gypList('flags', 'baseline').filter((flag) => flag.startsWith('-m'))).toEqual([]);
});

test('no file includes the headers that cost five to ten seconds each', () => {
  const slow =
    /#include <(torch\/(torch|nn|script|types|all|extension)\.h|torch\/nn\/.*|ATen\/(ATen|Functions)\.h)>/;
  expect(matching(slow)).toEqual([]);
});

test('operators are registered in native/ops alone: a second registration in one process aborts', () => {
  expect(
    matching(/\bTORCH_LIBRARY(_IMPL|_FRAGMENT)?\(/).filter((name) => !name.startsWith('native/ops/')),
  ).toEqual([]);
});

test('every operator has a CPU kernel, a gradient and a shape function, or is made of others that have', () => {
  const keys = (key: string): string[] =>
    matching(new RegExp(`TORCH_LIBRARY_IMPL\\(\\s*freqfusion,\\s*${key}\\b`), 'native/ops/');
  const schemas = matching(/TORCH_LIBRARY(_FRAGMENT)?\(\s*freqfusion/, 'native/ops/');
  for (const schema of schemas) {
    const name = schema.replace('native/ops/', '').replace('.cpp', '');
    const of = (key: string): boolean => keys(key).some((file) => file.includes(name));
    const text = readFileSync(join(ROOT, schema), 'utf8');
    if (!text.includes('TORCH_LIBRARY_IMPL')) {
      // A function beside each schema: one definition for all devices, with the gradients of what it calls.
      expect([name, text.match(/",\s*\[\]\(/g)?.length]).toEqual([name, text.match(/m\.def\(/g)!.length]);
      continue;
    }
    expect({ name, Autograd: of('Autograd'), Meta: of('Meta'), CPU: of('CPU') }).toEqual({
      name,
      Autograd: true,
      Meta: true,
      CPU: true,
    });
  }
  expect(schemas.length).toBeGreaterThanOrEqual(4);
});

test('the operator library leaves the allocator alone: Python would get it too', () => {
  expect(matching(/SetCPUAllocator/, 'native/ops/')).toEqual([]);
});

test('the boundary turns every exception into a JavaScript error and survives a worker that ends', () => {
  const flags = [
    'NODE_ADDON_API_CPP_EXCEPTIONS',
    'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    'NAPI_VERSION=8',
  ];
  for (const file of ['native/node/sources.cmake', 'binding.gyp']) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    expect(flags.filter((flag) => !text.includes(flag))).toEqual([]);
  }
});

test('layers look down only', () => {
  const looksUp: [string, RegExp][] = [
    ['native/ops/', /#include "native\/(modules|node)\/|#include <(napi|node_api)\.h>/],
    ['native/modules/', /#include "native\/node\/|#include <(napi|node_api)\.h>/],
  ];
  for (const [folder, upward] of looksUp) expect(matching(upward, folder)).toEqual([]);
});
