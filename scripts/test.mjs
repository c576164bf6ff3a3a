// `npm test`: builds what is missing, checks and tests everything, and says by name what could not run here.
// Words after the command go to jest: npm test -- test/unit.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { runAttached } from './libtorch/process.mjs';
import { clangFormat } from './test/clang-format.mjs';
import { testCuda } from './test/cuda.mjs';
import { runJest } from './test/jest.mjs';
import { runPython } from './test/python.mjs';
import { fromStatus, Report } from './test/report.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const require = createRequire(import.meta.url);

function tool(file, ...args) {
  return runAttached(process.execPath, [require.resolve(file), ...args], { cwd: ROOT });
}

const report = new Report();
const built = await report.step('build', async () => {
  await build();
  return { passed: 1 };
});
if (built) {
  await report.step('lint', async () =>
    fromStatus(await tool('@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.')),
  );
  await report.step('C++ format', () => clangFormat(ROOT, false));
  await report.step('types', async () =>
    fromStatus(await tool('typescript/bin/tsc', '--noEmit', '-p', 'test')),
  );
  await report.step('tests', () => runJest(ROOT, process.argv.slice(2)));
  await report.step('PyTorch', () => runPython(ROOT));
  await report.step('CUDA', () => testCuda(ROOT));
}
report.print();
process.exitCode = report.failed === 0 ? 0 : 1;
