// Captured runs against plain ones: node test/cuda/graphs.cjs [DEVICE] (cuda:0). FreqFusion and SegNeXt-T in three
// dtypes: the runs that are captured and replayed must give what plain runs give, on new inputs, too. On the CPU, where
// there are no graphs, it compares plain runs. Prints a line each and `N passed, N failed`.
const lib = require('../../dist');
const { makeMap } = require('../../dist/bench/inputs');

const device = process.argv[2] ?? 'cuda:0';
const options = device === 'cpu' ? {} : { cudaGraph: true };
// As a share of the greatest value. The kernels are the same, but cuDNN may choose others under capture.
const ALLOWED = { float32: 1e-5, float16: 2e-3, bfloat16: 2e-2 };
const small = device === 'cpu';

const networks = {
  FreqFusion: {
    make: () => new lib.FreqFusion({ hrChannels: 64, lrChannels: 64, featureResample: true }),
    inputs: (seed, map) => {
      const side = small ? 32 : 128;
      return { hrFeat: map([1, 64, side, side], seed), lrFeat: map([1, 64, side / 2, side / 2], seed + 1) };
    },
  },
  'SegNeXt-T': {
    make: () => new lib.SegNeXt(),
    inputs: (seed, map) => ({ image: map(small ? [1, 3, 64, 64] : [1, 3, 256, 256], seed) }),
  },
};

async function outputsOf(module, inputs, given) {
  const outputs = await module.forward(inputs, given);
  const values = {};
  for (const [name, output] of Object.entries(
    outputs instanceof lib.Tensor ? { output: outputs } : outputs,
  )) {
    if (!(output instanceof lib.Tensor)) continue;
    const copy = output.to({ dtype: 'float32', device: 'cpu' });
    values[name] = Float32Array.from(await copy.data());
    copy.dispose();
    output.dispose();
  }
  return values;
}

/** The greatest difference, as a share of the greatest value; NaN where either has one. */
function difference(expected, actual) {
  let worst = 0;
  for (const [name, values] of Object.entries(expected)) {
    if (actual[name]?.length !== values.length)
      throw new Error(`expected ${name}, got ${Object.keys(actual)}`);
    let [scale, error] = [0, 0];
    for (let i = 0; i < values.length; i += 1) {
      if (!Number.isFinite(values[i]) || !Number.isFinite(actual[name][i])) return Number.NaN;
      scale = Math.max(scale, Math.abs(values[i]));
      error = Math.max(error, Math.abs(values[i] - actual[name][i]));
    }
    worst = Math.max(worst, error / scale);
  }
  return worst;
}

async function check({ make, inputs }, dtype) {
  const module = await make().initialize(0);
  await module.to({ dtype, device });
  const map = (shape, seed) => makeMap(shape, seed, { dtype, device, layout: 'channels-first' });
  const sets = [inputs(1, map), inputs(7, map)];
  const plain = [];
  for (const each of sets) plain.push(await outputsOf(module, each, {}));
  if (!(difference(plain[0], plain[1]) > 0))
    throw new Error('both inputs give the same: nothing would be tested');
  let worst = 0;
  // The first run of a size is a plain one, the second is captured, all later ones are replayed.
  for (const set of [0, 0, 0, 1, 0, 1]) {
    const error = difference(plain[set], await outputsOf(module, sets[set], options));
    worst = error > worst || Number.isNaN(error) ? error : worst;
  }
  if (device !== 'cpu' && lib.memoryStats(device).graphs < 1)
    throw new Error('expected a captured graph, got none');
  module.dispose();
  return worst;
}

async function main() {
  let [passed, failed] = [0, 0];
  for (const [name, network] of Object.entries(networks)) {
    for (const dtype of Object.keys(ALLOWED)) {
      try {
        const worst = await check(network, dtype);
        if (!(worst <= ALLOWED[dtype])) throw new Error(`differs by ${worst}, ${ALLOWED[dtype]} is allowed`);
        console.log(`ok ${name} ${dtype} on ${device}: differs by ${worst.toExponential(1)}`);
        passed += 1;
      } catch (error) {
        console.log(`FAILED ${name} ${dtype} on ${device}: ${error.message}`);
        failed += 1;
      }
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main();
