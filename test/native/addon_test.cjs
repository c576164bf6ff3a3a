// The addon with a GPU that is made up (test/native/fake_runtime.cc, FREQFUSION_ADDON): promises, the event loop, errors.
// Each test runs in a process of its own, where FAKE_GPU says what the device does.
const { spawnSync } = require('node:child_process');
const assert = require('node:assert');

const lib = require('../../dist');
const { native } = require('../../dist/native');

const tests = {
  'a name becomes a device that is there': {
    run() {
      assert.deepStrictEqual([lib.runtimeInfo().cuda, lib.runtimeInfo().cudaDevices], [true, 2]);
      assert.throws(() => lib.memoryStats('cuda:2'), {
        code: 'ERR_DEVICE',
        expected: 'one of the 2 GPUs cuda:0 to cuda:1',
        actual: 'cuda:2',
      });
      for (const name of ['cuda:256', 'cuda:01', 'cuda:-1', 'cuda:', 'gpu']) {
        assert.throws(() => native().deviceMemory(name), { code: 'ERR_DEVICE', actual: name });
      }
    },
  },
  'memoryStats tells of one GPU': {
    run() {
      assert.deepStrictEqual(lib.memoryStats('cuda'), {
        allocatedBytes: 300,
        reservedBytes: 400,
        peakBytes: 500,
        freeBytes: 600,
        totalBytes: 700,
        graphs: 0,
      });
      assert.strictEqual(lib.memoryStats('cpu').pendingJobs, 0);
    },
  },
  'waiting for a GPU keeps neither the event loop nor the queue nor other devices': {
    gpu: 'wait=300',
    async run() {
      await native().synchronize('cpu');
      let ticks = 0;
      const timer = setInterval(() => (ticks += 1), 1);
      const order = [];
      const wait = async (device) => {
        await native().synchronize(device);
        order.push(device);
      };
      await Promise.all(['cuda:0', 'cuda:0', 'cuda:1', 'cpu'].map(wait));
      clearInterval(timer);
      assert.strictEqual(order[0], 'cpu');
      // The second GPU did not wait for both waits of the first.
      assert.strictEqual(order[3], 'cuda:0');
      assert.ok(ticks > 10, `${ticks} ticks`);
    },
  },
  'work that finds no memory once is done': {
    gpu: 'short=1',
    async run() {
      await native().synchronize('cuda');
    },
  },
  'work that finds no memory twice is an error with bytes, and the next work is done': {
    gpu: 'short=2',
    async run() {
      await assert.rejects(native().synchronize('cuda:1'), (error) => {
        assert.ok(error instanceof lib.OutOfMemoryError);
        assert.strictEqual(error.code, 'ERR_CUDA_OUT_OF_MEMORY');
        assert.deepStrictEqual(
          [error.requestedBytes, error.freeBytes, error.reservedBytes],
          [2 ** 20, 600, 400],
        );
        assert.match(error.message, /^cuda:1 is out of memory: 1\.0 MB were asked for/);
        return true;
      });
      await native().synchronize('cuda:1');
    },
  },
  'a GPU that dies is lost at once for all that follows; the CPU goes on': {
    gpu: 'die',
    async run() {
      const lost = { code: 'ERR_CUDA_DEVICE_LOST', message: /^cuda:0 has failed \(an illegal memory access/ };
      await assert.rejects(native().synchronize('cuda'), lost);
      await assert.rejects(native().synchronize('cuda'), lost);
      assert.throws(() => lib.memoryStats('cuda'), lost);
      const x = lib.tensor(new Float32Array(9).fill(1), [1, 9, 1, 1]);
      const y = await lib.kernelNormalizer(x, { kernelSize: 3, hamming: false });
      assert.ok(Math.abs((await y.data())[0] - 1 / 9) < 1e-6);
    },
  },
  'a GPU that dies while memory is given back is named, whichever it is': {
    gpu: 'die-at=empty',
    async run() {
      await native().synchronize('cuda:0');
      await native().synchronize('cuda:1');
      assert.throws(() => lib.emptyCache(), { code: 'ERR_CUDA_DEVICE_LOST', message: /^cuda:1 has failed/ });
      await native().synchronize('cuda:0');
    },
  },
  'a GPU that fails where a job begins is lost': {
    gpu: 'die-at=set',
    async run() {
      const lost = { code: 'ERR_CUDA_DEVICE_LOST', message: /^cuda:1 has failed/ };
      await assert.rejects(native().synchronize('cuda:1'), lost);
      await native().synchronize('cuda:0');
    },
  },
  'a module that moves to a GPU that has died learns of it, and stays where it is': {
    gpu: 'die',
    async run() {
      const head = new lib.Hamburger({ hamChannels: 16, normGroups: 4 });
      await assert.rejects(head.to('cuda:0'), { code: 'ERR_CUDA_DEVICE_LOST' });
      const [name] = head.stateInfo().map((entry) => entry.name);
      assert.strictEqual(head.stateDict().get(name).tensor().device, 'cpu');
    },
  },
  'process.exit while a GPU is waited for ends cleanly': {
    gpu: 'wait=200',
    exit: 3,
    run() {
      native().synchronize('cuda');
      setTimeout(() => process.exit(3), 20);
    },
  },
};

const chosen = process.argv[2];
if (chosen !== undefined) {
  Promise.resolve(tests[chosen].run()).catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
} else {
  let failed = 0;
  for (const [name, { gpu = '', exit = 0 }] of Object.entries(tests)) {
    const child = spawnSync(process.execPath, [__filename, name], {
      env: { ...process.env, FAKE_GPU: gpu },
      encoding: 'utf8',
      timeout: 60_000,
    });
    const ok = child.status === exit;
    failed += ok ? 0 : 1;
    console.log(
      `${ok ? 'ok' : 'FAILED'} ${name}${ok ? '' : `: status ${child.status} ${child.signal ?? ''}\n${child.stderr}`}`,
    );
  }
  console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
