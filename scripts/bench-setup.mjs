// `npm run bench:setup`: a virtual environment in bench/.venv with what the comparison needs. Words after -- go to pip:
// npm run bench:setup -- --index-url URL, for those whose index offers only the CUDA build of torch.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, VENV } from './bench-python.mjs';
import { runAttached } from './libtorch/process.mjs';

const PYTHON = join(VENV, 'bin', 'python');

async function run(command, ...args) {
  const status = await runAttached(command, args, { cwd: ROOT });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

try {
  if (!existsSync(PYTHON)) await run('python3', '-m', 'venv', VENV);
  const requirements = join(ROOT, 'bench', 'requirements.txt');
  await run(PYTHON, '-m', 'pip', 'install', '-r', requirements, ...process.argv.slice(2));
  const versions =
    'import torch, onnxruntime as o; print("torch", torch.__version__, "onnxruntime", o.__version__)';
  await run(PYTHON, '-c', versions);
  console.log('Ready: npm run bench:compare');
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
