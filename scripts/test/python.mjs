import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readJson } from '../build-key.mjs';
import { RECORD } from '../build-native.mjs';
import { runAttached, runCommand } from '../libtorch/process.mjs';
import { fromLastLine, fromStatus } from './report.mjs';

/** Modules that files need beside torch and NumPy. */
const NEEDS = {
  'coco/test_coco.py': ['pycocotools'],
  'serving/test_triton_client.py': ['tritonclient.http', 'tritonclient.grpc'],
};

const SUFFIX = process.platform === 'darwin' ? 'dylib' : 'so';

/** The Python to test with: FREQFUSION_PYTHON, or python3. Its torch must be of the build's own version. */
async function findPython(torch) {
  const command = process.env.FREQFUSION_PYTHON ?? 'python3';
  const wanted = `expected a Python with torch ${torch} (FREQFUSION_PYTHON, or python3 on PATH)`;
  const probe = 'import numpy, torch; print(torch.__version__)';
  const { status, stdout, stderr } = await runCommand(command, ['-c', probe], { cwd: '/' });
  if (status === undefined) return { reason: `${wanted}, got no ${command}` };
  if (status !== 0) return { reason: `${wanted}, got ${stderr.trim().split('\n').at(-1)}` };
  const version = stdout.trim().split('+')[0];
  return version === torch ? { command } : { reason: `${wanted}, got torch ${version}` };
}

/** Why a file cannot run: a module that this Python does not have. */
async function missingModule(command, file) {
  for (const name of NEEDS[file] ?? []) {
    const { status } = await runCommand(command, ['-c', `import ${name}`], { cwd: '/' });
    if (status !== 0) return `expected a Python with ${name}, got none in ${command}`;
  }
  return undefined;
}

/**
 * Loads an operator library of build/Release into PyTorch and runs files of test/python (all where `chosen` is
 * undefined) against PyTorch itself.
 */
export async function runPython(root, { name = 'freqfusion_ops', chosen, env = {} } = {}) {
  const folder = join(root, 'test', 'python');
  const files =
    chosen ??
    readdirSync(folder, { recursive: true })
      .filter((file) => /(^|\/)test_\w+\.py$/.test(file))
      .sort();
  const { torch } = readJson(join(root, 'build', RECORD)) ?? {};
  const { command, reason } = await findPython(torch);
  if (command === undefined)
    return { skipped: files.map((file) => `test/python/${file} (lib${name}): ${reason}`) };
  const library = join(root, 'build', 'Release', `lib${name}.${SUFFIX}`);
  if (!existsSync(library)) throw new Error(`expected ${library}, got no such file`);
  const total = { passed: 0, failed: 0, skipped: [] };
  for (const file of files) {
    const missing = await missingModule(command, file);
    if (missing !== undefined) {
      total.skipped.push(`test/python/${file}: ${missing}`);
      continue;
    }
    let output = '';
    const status = await runAttached(
      command,
      [join('test', 'python', file), library, join('test', 'goldens')],
      {
        cwd: root,
        env: { ...process.env, FREQFUSION_NODE: process.execPath, ...env },
        stdio: ['ignore', 'pipe', 'inherit'],
        onOutput: (text) => {
          output += text;
          process.stdout.write(text);
        },
      },
    );
    // A program that ends badly after its last line failed all the same.
    const counted = fromLastLine(output) ?? fromStatus(status);
    total.passed += counted.passed ?? 0;
    total.failed += (counted.failed ?? 0) || (status === 0 ? 0 : 1);
    console.log(`${status === 0 ? 'ok' : 'FAILED'} test/python/${file} (lib${name})`);
  }
  return total;
}
