import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { cachedCopy, cacheFolder } from './cache.mjs';
import { inspectLibtorch } from './check.mjs';
import { SetupError } from './errors.mjs';
import { runCommand } from './process.mjs';

/** The name of the file that is written last into a fetched copy, with the sizes of its libraries. */
export const MANIFEST = 'freqfusion-libtorch.json';

// find_spec reads no file of torch: an import would cost a second and could fail for reasons of its own.
const FIND_TORCH = `
import importlib.machinery, importlib.util, site
spec = importlib.util.find_spec('torch')
if spec is None:
    spec = importlib.machinery.PathFinder.find_spec('torch', [site.getusersitepackages()])
print(list(spec.submodule_search_locations)[0] if spec and spec.submodule_search_locations else '')
`;

async function pythonTorch(env) {
  // -I and the root folder: neither PYTHONPATH nor a file in the working folder may pass for a module.
  const found = await runCommand('python3', ['-I', '-c', FIND_TORCH], { env, cwd: '/' });
  if (found.status === undefined) return { reason: 'there is no python3 on PATH' };
  if (found.status !== 0) return { reason: `python3 failed: ${lastLine(found.stderr)}` };
  const root = found.stdout.trim();
  return root === '' ? { reason: 'the python3 on PATH has no torch' } : { root };
}

function lastLine(text) {
  return text.trim().split('\n').at(-1) ?? '';
}

/** The fetched copy, or why it cannot be used: a library that lost bytes would only show as a crash later. */
export function fetchedTorch(cache) {
  const folder = cachedCopy(cache);
  if (!existsSync(folder)) return { reason: `none was fetched into ${cache}` };
  const root = join(folder, 'torch');
  try {
    const { libraries } = JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8'));
    for (const [name, size] of Object.entries(libraries)) {
      if (statSync(join(folder, name)).size !== size) return { reason: `${join(folder, name)} is damaged` };
    }
  } catch (error) {
    return { reason: `the copy in ${folder} is incomplete (${error.message})` };
  }
  return { root };
}

/**
 * Looks for libtorch: the folder in LIBTORCH, the torch of the python3 on PATH, a copy fetched before.
 * Resolves to {found, skipped}: found is {root, version, cuda, source} or undefined, skipped says why each place
 * before it was not taken. A LIBTORCH that cannot be used is an error: silence would build against another one.
 */
export async function findLibtorch({ env = process.env } = {}) {
  if (env.LIBTORCH) {
    try {
      return { found: { ...inspectLibtorch(resolve(env.LIBTORCH)), source: 'LIBTORCH' }, skipped: [] };
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      throw new SetupError(error.code, `LIBTORCH: ${error.message}`);
    }
  }
  const skipped = [{ source: 'LIBTORCH', reason: 'is not set' }];
  const places = [
    ['python3', () => pythonTorch(env)],
    ['cache', () => fetchedTorch(cacheFolder(env))],
  ];
  for (const [source, look] of places) {
    const { root, reason } = await look();
    if (root === undefined) {
      skipped.push({ source, reason });
      continue;
    }
    try {
      return { found: { ...inspectLibtorch(root), source }, skipped };
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      skipped.push({ source, reason: error.message });
    }
  }
  return { found: undefined, skipped };
}
