import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { readJson } from '../build-key.mjs';
import { RECORD } from '../build-native.mjs';
import { runAttached, runCommand } from '../libtorch/process.mjs';
import { runPython } from './python.mjs';
import { fromLastLine } from './report.mjs';

/** The oldest and the newest architecture of the default list. */
const ARCHITECTURES = ['80', '90'];
const ON_CPU = 'freqfusion_ops_cuda_on_cpu';
/** The addon's dealings with its GPUs, by themselves and within the addon, on a GPU that is made up. */
const DEVICE_TEST = 'freqfusion_device_test';
const FAKE_GPU = 'freqfusion_fake_gpu';
/** The operators whose CUDA kernels, and the glue around them, run on the CPU in this test. */
const OPERATORS = [
  ...['carafe', 'conv_mlp', 'group_norm', 'high_pass', 'kernel_normalizer', 'kernel_predictor'],
  ...['local_similarity', 'mask_paste', 'nmf', 'nms', 'offset_sampler', 'pointwise_conv', 'roi_align'],
  ...['row_conv', 'sampling_offset', 'strip_convs'],
];
/** Golden families of modules that are made of them. */
const MODULES = ['freqfusion', 'segnext'];

/** nvcc from PATH, CUDA_HOME or /usr/local/cuda, or undefined. */
function findNvcc() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const homes = [process.env.CUDA_HOME, '/usr/local/cuda'].filter(Boolean).map((home) => join(home, 'bin'));
  return [...folders, ...homes].map((folder) => join(folder, 'nvcc')).find(existsSync);
}

/** The folder of the CUDA runtime's headers that belongs to an nvcc (which may be a wrapper elsewhere). */
async function cudaHeaders(nvcc) {
  const { stderr } = await runCommand(nvcc, ['--dryrun', '-c', 'x.cu']);
  const top = /TOP=(\S+)/.exec(stderr)?.[1] ?? dirname(dirname(nvcc));
  const folders = [top, '/usr/local/cuda'].flatMap((folder) => [
    join(folder, 'include'),
    join(folder, 'targets', 'x86_64-linux', 'include'),
  ]);
  return folders.find((folder) => existsSync(join(folder, 'cuda_runtime_api.h')));
}

async function compileKernels(root, nvcc, folder, files) {
  const counts = { passed: 0, failed: 0 };
  const codes = ARCHITECTURES.map((arch) => `-gencode=arch=compute_${arch},code=sm_${arch}`);
  for (const file of files) {
    const since = performance.now();
    const args = [
      '-std=c++17',
      '-O3',
      '-Werror',
      'all-warnings',
      '--threads',
      String(ARCHITECTURES.length),
      ...codes,
      `-I${root}`,
      '-Xcompiler',
      '-fPIC',
    ];
    const status = await runAttached(nvcc, [...args, '-c', join(root, file), '-o', join(folder, 'kernel.o')]);
    const seconds = ((performance.now() - since) / 1000).toFixed(1);
    console.log(
      `${status === 0 ? 'ok' : 'FAILED'} nvcc ${file}, sm_${ARCHITECTURES.join(', sm_')}: ${seconds} s`,
    );
    counts[status === 0 ? 'passed' : 'failed'] += 1;
  }
  return counts;
}

/**
 * Reads the glue as a build with CUDA would. A libtorch for the CPU has all of c10/cuda but one generated header, which
 * the test writes.
 */
async function checkGlue(root, headers, folder, files) {
  const counts = { passed: 0, failed: 0 };
  const { libtorch } = readJson(join(root, 'build', RECORD));
  const generated = join(folder, 'c10', 'cuda', 'impl');
  mkdirSync(generated, { recursive: true });
  writeFileSync(join(generated, 'cuda_cmake_macros.h'), '#pragma once\n#define C10_CUDA_BUILD_SHARED_LIBS\n');
  const system = [
    join(libtorch, 'include'),
    join(libtorch, 'include', 'torch', 'csrc', 'api', 'include'),
    folder,
    headers,
  ].flatMap((name) => ['-isystem', name]);
  for (const file of files) {
    const args = [
      '-std=c++20',
      '-fsyntax-only',
      '-fopenmp',
      '-Wall',
      '-Wextra',
      '-Wno-unused-parameter',
      '-Werror',
      `-I${root}`,
    ];
    const status = await runAttached(process.env.CXX ?? 'g++', [...args, ...system, join(root, file)]);
    console.log(`${status === 0 ? 'ok' : 'FAILED'} syntax of ${file}`);
    counts[status === 0 ? 'passed' : 'failed'] += 1;
  }
  return counts;
}

async function runProgram(command, args, env) {
  let output = '';
  const status = await runAttached(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    onOutput: (text) => {
      output += text;
      process.stdout.write(text);
    },
  });
  const { passed = 0, failed = 0 } = fromLastLine(output) ?? {};
  return { passed, failed: failed || (status === 0 ? 0 : 1) };
}

/** Retries, losses, streams and graphs: nothing of it needs a GPU, but none may be there. */
async function runPolicy(root) {
  const release = join(root, 'build', 'Release');
  const build = ['--build', join(root, 'build'), '--parallel', '2', '--target', DEVICE_TEST, FAKE_GPU];
  if ((await runAttached('cmake', build)) !== 0) return { failed: 1 };
  const alone = await runProgram(join(release, DEVICE_TEST), [], {});
  const within = await runProgram(process.execPath, [join(root, 'test', 'native', 'addon_test.cjs')], {
    FREQFUSION_ADDON: join(release, `${FAKE_GPU}.node`),
  });
  return { passed: alone.passed + within.passed, failed: alone.failed + within.failed };
}

/** The same kernels, their blocks and threads in a loop on the CPU, under the tests of the operators. */
async function runOnCpu(root) {
  const status = await runAttached('cmake', [
    '--build',
    join(root, 'build'),
    '--target',
    ON_CPU,
    '--parallel',
    '2',
  ]);
  if (status !== 0) return { failed: 1 };
  return runPython(root, {
    name: ON_CPU,
    chosen: OPERATORS.map((name) => join('ops', `test_${name}.py`)),
    // The instruction sets are those of the CPU kernels: one run is enough.
    env: { FREQFUSION_ISA: 'baseline' },
  });
}

/** The addon with that library in place of its own: the modules' golden cases through the kernels and their glue. */
async function runModules(root, folder) {
  const release = join(root, 'build', 'Release');
  const addon = join(folder, 'freqfusion.node');
  copyFileSync(join(release, 'freqfusion.node'), addon);
  copyFileSync(join(release, `lib${ON_CPU}.so`), join(folder, 'libfreqfusion_ops.so'));
  let output = '';
  const families = MODULES.map((family) => join('test', 'goldens', family));
  const status = await runAttached(
    process.execPath,
    [join('dist', 'cli', 'main.js'), 'verify', ...families],
    {
      cwd: root,
      env: { ...process.env, FREQFUSION_ADDON: addon },
      stdio: ['ignore', 'pipe', 'inherit'],
      onOutput: (text) => {
        output += text;
      },
    },
  );
  const counted = fromLastLine(output) ?? { passed: 0, failed: 1 };
  if (status !== 0) console.log(output);
  const good = status === 0 && counted.failed === 0;
  console.log(`${good ? 'ok' : 'FAILED'} golden cases of ${MODULES.join(' and ')} (lib${ON_CPU})`);
  return { passed: counted.passed, failed: counted.failed || (good ? 0 : 1) };
}

/** Everything about CUDA that can be tested without a GPU, and by name what cannot. */
export async function testCuda(root) {
  const total = {
    passed: 0,
    failed: 0,
    skipped: ['CUDA on a GPU: bash scripts/gpu.sh on a machine that has one'],
  };
  const add = ({ passed = 0, failed = 0, skipped = [] }) => {
    total.passed += passed;
    total.failed += failed;
    total.skipped.push(...skipped);
  };
  if (process.platform !== 'linux') {
    total.skipped.push('CUDA kernels: they are built on Linux');
    return total;
  }
  const sources = ['native/ops/cuda', 'native/node/cuda'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
  );
  const kernels = sources.filter((name) => name.endsWith('.cu'));
  const glue = sources.filter((name) => /\.(cpp|cc)$/.test(name));
  add(await runPolicy(root));
  add(await runOnCpu(root));
  const folder = mkdtempSync(join(tmpdir(), 'freqfusion-cuda-'));
  try {
    add(await runModules(root, folder));
    const nvcc = findNvcc();
    if (nvcc === undefined) {
      const reason = 'expected nvcc on PATH, in CUDA_HOME or in /usr/local/cuda, got none';
      total.skipped.push(...[...kernels, ...glue].map((name) => `${name}: ${reason}`));
      return total;
    }
    add(await compileKernels(root, nvcc, folder, kernels));
    const headers = await cudaHeaders(nvcc);
    if (headers === undefined) {
      total.skipped.push(
        ...glue.map((name) => `syntax of ${name}: expected cuda_runtime_api.h beside nvcc, got none`),
      );
    } else {
      add(await checkGlue(root, headers, folder, glue));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return total;
}
