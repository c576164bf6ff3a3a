// Runs a few operators of one built addon and compares them with values worked out by hand. FREQFUSION_ADDON names
// the addon. The last line is `N passed, N failed`.
import { createRequire } from 'node:module';

const { carafe, kernelNormalizer, localSimilarity, memoryStats, runtimeInfo, scope, tensor } = createRequire(
  import.meta.url,
)('../dist/index.js');

function expectClose(actual, expected) {
  const wanted = Array.from(expected);
  const got = Array.from(actual);
  if (got.length !== wanted.length || got.some((value, i) => !(Math.abs(value - wanted[i]) <= 1e-5))) {
    throw new Error(`expected [${wanted}], got [${got}]`);
  }
}

const CHECKS = {
  'reports its libtorch and instruction set': async () => {
    const { torch, cpuCapability } = runtimeInfo();
    if (!/^\d+\.\d+\.\d+/.test(torch)) throw new Error(`expected a version of libtorch, got ${torch}`);
    console.log(`  libtorch ${torch}, ${cpuCapability} kernels`);
  },
  'carafe with a kernel of one at the centre repeats every pixel': async () => {
    const features = tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2]);
    const kernels = new Float32Array(9 * 16).fill(1, 4 * 16, 5 * 16);
    const masks = tensor(kernels, [1, 9, 4, 4]);
    const output = await carafe(features, masks, { kernelSize: 3, scale: 2 });
    expectClose(await output.data(), [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
  },
  'carafe adds nothing from outside the map': async () => {
    const features = tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2]);
    const masks = tensor(new Float32Array(9 * 4).fill(1), [1, 9, 2, 2]);
    const output = await carafe(features, masks, { kernelSize: 3, scale: 1 });
    expectClose(await output.data(), [10, 10, 10, 10]);
  },
  'kernelNormalizer gives kernels that sum to one': async () => {
    const logits = tensor(
      Float32Array.from({ length: 25 * 4 }, (_, i) => Math.sin(i)),
      [1, 25, 2, 2],
    );
    const output = await kernelNormalizer(logits, { kernelSize: 5 });
    const data = await output.data();
    const sums = [0, 1, 2, 3].map((pixel) =>
      Array.from({ length: 25 }, (_, tap) => data[tap * 4 + pixel]).reduce((a, b) => a + b),
    );
    expectClose(sums, [1, 1, 1, 1]);
  },
  'localSimilarity of a constant map is one inside it': async () => {
    const x = tensor(new Float32Array(2 * 9).fill(3), [1, 2, 3, 3]);
    const output = await localSimilarity(x, { kernelSize: 3, dilation: 1, similarity: 'cosine' });
    const data = await output.data();
    expectClose(
      Array.from({ length: 8 }, (_, neighbour) => data[neighbour * 9 + 4]),
      Array(8).fill(1),
    );
  },
  'every tensor was given back': async () => {
    const { liveTensors } = memoryStats();
    if (liveTensors !== 0) throw new Error(`expected no live tensor, got ${liveTensors}`);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(CHECKS)) {
  try {
    await scope(check);
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error.message}`);
  }
}
console.log(`${Object.keys(CHECKS).length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
