// Builds and links the operator library and the addon against a libtorch with CUDA, and loads both: LIBTORCH=<folder>
// node scripts/cuda-link-check.mjs [--build FOLDER] [--jobs N] [--archs "80;90"]. Needs nvcc and no GPU; it says what
// compiles, links and loads, and nothing about results.
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runAttached, runCommand } from './libtorch/process.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const { values } = parseArgs({
  options: {
    build: { type: 'string', default: join(tmpdir(), 'freqfusion-cuda-build') },
    jobs: { type: 'string', default: '2' },
    archs: { type: 'string', default: '80;86;89;90' },
  },
});
let failed = false;

async function step(what, run) {
  if (failed) {
    console.log(`not run: ${what}`);
    return;
  }
  const since = performance.now();
  const words = await run();
  failed = words !== undefined;
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  console.log(`${failed ? 'FAILED' : 'ok'} ${what}: ${seconds} s${failed ? `, ${words}` : ''}`);
}

async function attached(command, args) {
  const status = await runAttached(command, args, { cwd: ROOT });
  return status === 0 ? undefined : `${command} ended with status ${status}`;
}

async function loads(command, args) {
  const { status, stdout, stderr } = await runCommand(command, args, { cwd: '/' });
  if (status !== 0) return `${command}: ${stderr.trim().split('\n').at(-1)}`;
  process.stdout.write(stdout);
  return undefined;
}

const torch = process.env.LIBTORCH;
if (torch === undefined || !existsSync(join(torch, 'lib', 'libc10_cuda.so'))) {
  console.error(`expected a libtorch with lib/libc10_cuda.so in LIBTORCH, got ${torch ?? 'nothing'}`);
  process.exit(1);
}
const modules = join(ROOT, 'node_modules');
const headers = `${join(modules, 'node-api-headers', 'include')};${join(modules, 'node-addon-api')}`;
mkdirSync(values.build, { recursive: true });

await step('configure', () =>
  attached('cmake', [
    ...['-S', ROOT, '-B', values.build, `-DFREQFUSION_TORCH=${torch}`, '-DFREQFUSION_CUDA=ON'],
    ...[`-DCMAKE_JS_INC=${headers}`, `-DFREQFUSION_CUDA_ARCHS=${values.archs}`],
  ]),
);
await step('operator library', () =>
  attached('cmake', ['--build', values.build, '-j', values.jobs, '--target', 'freqfusion_ops']),
);
const library = join(values.build, 'Release', 'libfreqfusion_ops.so');
// The Python that this torch belongs to, where it lies in an environment of one.
const python = join(dirname(torch), '..', '..', '..', 'bin', 'python');
if (existsSync(python)) {
  const program = `
import sys, torch
torch.ops.load_library(sys.argv[1])
names = ["carafe", "carafe_backward", "conv_mlp", "group_norm.out", "high_pass", "kernel_normalizer",
         "kernel_normalizer_backward", "kernel_predictor", "local_similarity", "local_similarity_backward", "mask_paste",
         "mask_runs", "nmf", "nms", "offset_sampler", "offset_sampler_backward", "pointwise_conv", "roi_align",
         "roi_align_backward", "roi_extract", "row_conv", "sampling_offset", "strip_convs"]
missing = [n for n in names if not torch._C._dispatch_has_kernel_for_dispatch_key("freqfusion::" + n, "CUDA")]
assert not missing, missing
print("PyTorch", torch.__version__, "has a CUDA kernel for each of", len(names), "operators")
`;
  await step('the operator library loads into PyTorch', () => loads(python, ['-c', program, library]));
}
await step('addon', () => attached('cmake', ['--build', values.build, '-j', values.jobs]));
await step('the addon loads into Node', () =>
  loads(process.execPath, [
    '-e',
    `const addon = require(process.argv[1]);
const { torch, cuda, cudaDevices } = addon.info();
if (!cuda) throw new Error("the addon was built without CUDA");
console.log(Object.keys(addon).length, "functions, libtorch", torch, "with CUDA,", cudaDevices, "GPUs");`,
    join(values.build, 'Release', 'freqfusion.node'),
  ]),
);
process.exitCode = failed ? 1 : 0;
