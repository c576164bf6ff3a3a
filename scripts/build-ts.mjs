import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { filesKey, readJson } from './build-key.mjs';
import { runAttached } from './libtorch/process.mjs';

const INPUTS = ['lib', 'tsconfig.json', 'package.json', 'scripts/build-ts.mjs'];
/** Files of lib/ that are read at run time as they are. */
const ASSETS = [join('server', 'grpc', 'open_inference_grpc.proto')];
const STAMP = join('build', 'dist-stamp.json');

/** Folders of dist/ whose index is an entry of the package. */
const ENTRIES = ['.', 'server'];

/** The ESM face of an entry: one instance of everything, whichever way it was imported. */
function writeEsmWrapper(folder) {
  const index = join(folder, 'index.js');
  // In a process of its own: the module cache of this one must not keep the old build.
  const script = `process.stdout.write(JSON.stringify(Object.keys(require(${JSON.stringify(index)}))))`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${index} does not load:\n${stderr}`);
  const names = JSON.parse(stdout).filter((name) => name !== 'default' && name !== '__esModule');
  const list = names.map((name) => `  ${name},\n`).join('');
  writeFileSync(
    join(folder, 'index.mjs'),
    `import cjs from './index.js';\n\nexport const {\n${list}} = cjs;\n`,
  );
  writeFileSync(join(folder, 'index.d.mts'), "export * from './index.js';\n");
}

/** The page of the server: modules for browsers, by a config of their own, and the files beside them as they are. */
async function buildPage(root, tsc, folder) {
  const source = join(root, 'lib', 'server', 'page');
  const target = join(folder, 'server', 'page');
  const args = [tsc, '-p', join(source, 'tsconfig.json'), '--outDir', target, '--noEmitOnError'];
  if ((await runAttached(process.execPath, args, { cwd: root })) !== 0)
    throw new Error('the build of the page failed: see above');
  // All modules at once, not one after the other as they name each other.
  const modules = readdirSync(target).filter((name) => name.endsWith('.js') && name !== 'main.js');
  const preload = modules.map((name) => `    <link rel="modulepreload" href="page/${name}">\n`).join('');
  for (const name of readdirSync(source)) {
    if (/\.(css|svg)$/.test(name)) copyFileSync(join(source, name), join(target, name));
  }
  const html = readFileSync(join(source, 'index.html'), 'utf8');
  writeFileSync(join(target, 'index.html'), html.replace('  </head>', `${preload}  </head>`));
}

/** Compiles lib/ to dist/ unless nothing changed. dist/ is replaced as a whole: no file of a deleted source stays. */
export async function buildTypeScript(root) {
  const dist = join(root, 'dist');
  const key = filesKey(root, INPUTS);
  const stamp = join(root, STAMP);
  const built = ENTRIES.every((entry) => existsSync(join(dist, entry, 'index.mjs')));
  if (built && readJson(stamp)?.key === key) return false;
  const partial = join(root, `dist.partial-${process.pid}`);
  try {
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    const args = [tsc, '-p', 'tsconfig.json', '--outDir', partial, '--noEmitOnError'];
    if ((await runAttached(process.execPath, args, { cwd: root })) !== 0)
      throw new Error('the TypeScript build failed: see above');
    await buildPage(root, tsc, partial);
    for (const asset of ASSETS) copyFileSync(join(root, 'lib', asset), join(partial, asset));
    for (const entry of ENTRIES) writeEsmWrapper(join(partial, entry));
    const cli = join(partial, 'cli', 'main.js');
    if (existsSync(cli)) chmodSync(cli, 0o755);
    rmSync(stamp, { force: true });
    rmSync(dist, { recursive: true, force: true });
    renameSync(partial, dist);
    writeFileSync(stamp, `${JSON.stringify({ key })}\n`);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return true;
}
