// What binding.gyp asks for: node scripts/gyp-sources.mjs WORD [NAME]. The lists of files and flags stand once, in
// native/*/sources.cmake; both builds read them there.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findLibtorch } from './libtorch/find.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

function cmakeList(layer) {
  return readFileSync(join(ROOT, 'native', layer, 'sources.cmake'), 'utf8');
}

/** The words of `command(name ...)` in a CMake file, without quotes. */
function words(text, command, name) {
  const match = new RegExp(`${command}\\(\\s*${name}\\b([^)]*)\\)`).exec(text);
  if (match === null) throw new Error(`expected ${command}(${name} ...) in sources.cmake, found none`);
  return match[1].split(/\s+/).filter((word) => word !== '');
}

function sources(layer, command, name) {
  return words(cmakeList(layer), command, name)
    .filter((word) => word.startsWith(`\${${layer}}/`))
    .map((word) => word.replace(`\${${layer}}`, `native/${layer}`));
}

const LISTS = {
  ops: () => sources('ops', 'add_library', 'freqfusion_ops'),
  kernels: () => sources('ops', 'set', 'kernel_sources'),
  modules: () => sources('modules', 'add_library', 'freqfusion_modules'),
  node: () => sources('node', 'add_library', 'freqfusion'),
  flags: (isa) => [
    ...(process.platform === 'linux' ? words(cmakeList('ops'), 'set', 'isa_warnings') : []),
    ...words(cmakeList('ops'), 'set', `isa_flags_${isa}`),
  ],
  'node-addon-api': () => [dirname(require.resolve('node-addon-api/napi.h'))],
  torch: async () => {
    const { found } = await findLibtorch();
    if (found === undefined) throw new Error('no libtorch: run "npm run setup" first');
    return [found.root];
  },
};

const [word, name] = process.argv.slice(2);
if (!Object.hasOwn(LISTS, word))
  throw new Error(`expected one of ${Object.keys(LISTS).join(', ')}, got ${word}`);
console.log((await LISTS[word](name)).join('\n'));
