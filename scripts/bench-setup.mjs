// `npm run bench:setup`: a virtual environment in bench/.venv with what the comparisons need, and onnxruntime-node in
// bench/.onnx. Words after -- go to pip: npm run bench:setup -- --index-url URL, for those whose index offers only the
// CUDA build of torch.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ONNX_FOLDER } from '../bench/serve/places.mjs';
import { ROOT, VENV } from './bench-python.mjs';
import { runAttached } from './libtorch/process.mjs';

const ONNXRUNTIME_NODE = '1.30.0';
const PYTHON = join(VENV, 'bin', 'python');

async function run(command, ...args) {
  const status = await runAttached(command, args, { cwd: ROOT });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

try {
  if (!existsSync(PYTHON)) await run('python3', '-m', 'venv', VENV);
  const requirements = ['requirements.txt', join('serve', 'requirements.txt')].flatMap((file) => [
    '-r',
    join(ROOT, 'bench', file),
  ]);
  await run(PYTHON, '-m', 'pip', 'install', ...requirements, ...process.argv.slice(2));
  const versions =
    'import torch, onnxruntime as o; print("torch", torch.__version__, "onnxruntime", o.__version__)';
  await run(PYTHON, '-c', versions);
  // A folder of its own: it is no dependency of the package. Its install script would only fetch what GPUs need.
  mkdirSync(ONNX_FOLDER, { recursive: true });
  writeFileSync(join(ONNX_FOLDER, 'package.json'), '{ "private": true }\n');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
  await run('npm', 'install', '--prefix', ONNX_FOLDER, ...quiet, `onnxruntime-node@${ONNXRUNTIME_NODE}`);
  console.log('Ready: npm run bench:compare, npm run bench:serve:compare');
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
