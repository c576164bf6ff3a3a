import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

// Every tool is this program: it writes down how it was called, and fails or sleeps where the test asks for it.
const TOOL = `#!/bin/bash
words="$(basename "$0") $*"
echo "$words" >>"$WORLD/calls"
case "$words" in
  *find_spec*) echo "$WORLD/torch" ;;
  *get_device_name*) [[ -n $NO_GPU ]] && exit 1; echo nvidia-fake-1 ;;
  *get_device_capability*) echo 90 ;;
esac
[[ -n $FAIL && $words == *$FAIL* ]] && exit 3
[[ -n $SLEEP && $words == *$SLEEP* ]] && sleep 60
[[ $words == *"bench --device"* ]] && echo '{}'
exit 0
`;

/** A machine whose tools are fakes, with a copy of the script. */
class GpuWorld {
  readonly folder = mkdtempSync(join(tmpdir(), 'freqfusion-gpu-'));
  private readonly bin = join(this.folder, 'bin');

  constructor({ sanitizer = true } = {}) {
    mkdirSync(this.bin);
    const tools = ['python3', 'cmake', 'ninja', 'node', ...(sanitizer ? ['compute-sanitizer'] : [])];
    for (const name of tools) {
      writeFileSync(join(this.bin, name), TOOL);
      chmodSync(join(this.bin, name), 0o755);
    }
    mkdirSync(join(this.folder, 'scripts'));
    cpSync(join(ROOT, 'scripts', 'gpu.sh'), join(this.folder, 'scripts', 'gpu.sh'));
    for (const file of [
      'dist/cli/main.js',
      'node_modules/node-addon-api/package.json',
      'node_modules/node-api-headers/include/node_api.h',
    ]) {
      mkdirSync(join(this.folder, file, '..'), { recursive: true });
      writeFileSync(join(this.folder, file), '');
    }
  }

  run(env: Record<string, string> = {}) {
    const { status, stdout, stderr } = spawnSync('bash', ['scripts/gpu.sh', 'results'], {
      cwd: this.folder,
      encoding: 'utf8',
      env: {
        PATH: `${this.bin}:/usr/bin:/bin`,
        HOME: this.folder,
        WORLD: this.folder,
        CUDA_HOME: '/nowhere',
        ...env,
      },
    });
    return { status, stdout, stderr, lines: stdout.trim().split('\n') };
  }

  get calls(): string[] {
    return readFileSync(join(this.folder, 'calls'), 'utf8').trim().split('\n');
  }

  called(words: string): string[] {
    return this.calls.filter((line) => line.includes(words));
  }

  end(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function inWorld(options: ConstructorParameters<typeof GpuWorld>[0], body: (world: GpuWorld) => void): void {
  const world = new GpuWorld(options);
  try {
    body(world);
  } finally {
    world.end();
  }
}

describe('scripts/gpu.sh', () => {
  test('runs every part once, on the present architecture alone, and counts them', () => {
    inWorld({}, (world) => {
      const { status, lines, stderr } = world.run();
      expect(stderr).toBe('');
      expect(lines.at(-1)).toBe('12 passed, 0 failed');
      expect(status).toBe(0);
      const [configure] = world.called('-DFREQFUSION_CUDA=ON');
      expect(configure).toContain('-G Ninja');
      expect(configure).toContain(`-DFREQFUSION_TORCH=${world.folder}/torch`);
      expect(configure).toContain('-DFREQFUSION_CUDA_ARCHS=90 ');
      expect(configure).toContain(`-DCMAKE_JS_INC=${world.folder}/node_modules/node-api-headers/include;`);
      for (const words of [
        '--target freqfusion_ops',
        'verify test/goldens --quiet --device cuda --dtype float32',
        'verify test/goldens --quiet --device cuda --dtype float16',
        'verify test/goldens --quiet --device cuda --dtype bfloat16',
        'test/cuda/graphs.cjs cuda:0',
        'bench --device cuda --json',
        'gpu-render.js',
        'bench/cuda_compare.py',
        'compute-sanitizer --error-exitcode 9',
      ]) {
        expect([words, world.called(words)]).toEqual([words, [expect.any(String)]]);
      }
      expect(world.called('operators_on_cuda.py')).toEqual([]);
      expect(readdirSync(join(world.folder, 'results'))[0]).toMatch(
        /^\d{4}-\d\d-\d\d-nvidia-fake-1-bench\.json$/,
      );
    });
  });

  test('goes on after a part that fails, and ends with 1', () => {
    inWorld({}, (world) => {
      const { status, lines } = world.run({ FAIL: 'test/cuda/check.py' });
      // The same program once more under compute-sanitizer.
      expect(lines.at(-1)).toBe('10 passed, 2 failed');
      expect(lines).toContainEqual(
        expect.stringMatching(/^FAILED golden cases, layouts and gradcheck: \d+ s, status 3$/),
      );
      expect(status).toBe(1);
    });
  });

  test('without the addon nothing of Node runs, and the operators are measured in PyTorch', () => {
    inWorld({}, (world) => {
      const { lines } = world.run({ FAIL: '--target freqfusion' });
      expect(lines.at(-1)).toBe('4 passed, 2 failed');
      expect(world.called('operators_on_cuda.py')).toHaveLength(1);
      expect(world.called('verify')).toEqual([]);
    });
  });

  test('names what the machine lacks and does not count it', () => {
    inWorld({ sanitizer: false }, (world) => {
      rmSync(join(world.folder, 'dist'), { recursive: true });
      const { lines, status } = world.run();
      expect(lines.at(-1)).toBe('4 passed, 0 failed');
      expect(status).toBe(0);
      expect(lines).toContain(
        'not run addon and what runs in Node: expected dist (npm run build -- ts); got none',
      );
      expect(lines).toContain('not run compute-sanitizer: it is not installed');
      expect(world.called('-DFREQFUSION_CUDA=ON')[0]).not.toContain('CMAKE_JS_INC');
    });
  });

  test('a part that hangs is ended, and parts that have no time left fail', () => {
    inWorld({}, (world) => {
      const since = performance.now();
      const { lines, status } = world.run({ SLEEP: 'test/cuda/check.py', LIMIT: '8' });
      expect(performance.now() - since).toBeLessThan(30_000);
      expect(status).toBe(1);
      expect(lines).toContainEqual(
        expect.stringMatching(/^FAILED golden cases.*status 124, its time was up or it was killed$/),
      );
      expect(lines).toContain('FAILED comparison: no time left');
      expect(lines.at(-1)).toBe('3 passed, 8 failed');
    });
  });

  test('without a GPU it says so and builds nothing', () => {
    inWorld({}, (world) => {
      const { status, stdout } = world.run({ NO_GPU: '1' });
      expect(status).toBe(1);
      expect(stdout).toBe('expected a python3 with NumPy and a torch that sees a GPU\n');
      expect(world.called('cmake')).toEqual([]);
    });
  });
});
