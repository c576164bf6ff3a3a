import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, hostname, platform } from 'node:os';
import { join } from 'node:path';
import { type FakePython, SetupWorld } from './setup-world';

const COPY = `2.13.0-cpu-${platform()}-${arch()}`;
let world: SetupWorld;

beforeEach(() => {
  world = new SetupWorld();
});
afterEach(() => world.remove());

describe('finding libtorch', () => {
  test('LIBTORCH comes before the torch of python3 and before the fetched copy', async () => {
    const named = world.writeLibtorch('named');
    world.python({ torch: world.writeLibtorch('site-packages/torch') });
    const { status, stdout, stderr } = await world.setup({ LIBTORCH: named });
    expect([status, stdout]).toEqual([0, `${named}\n`]);
    expect(stderr).toContain(`libtorch 2.13.0 from LIBTORCH: ${named}`);
  });

  test('the torch of python3 comes before the fetched copy', async () => {
    world.python({ download: world.downloadOf(world.writeWheel()) });
    await world.setup();
    const root = world.writeLibtorch('site-packages/torch', '2.14.1');
    world.python({ torch: root });
    const { stdout, stderr } = await world.setup();
    expect(stdout).toBe(`${root}\n`);
    expect(stderr).toContain('LIBTORCH: is not set');
  });

  test('a python3 whose torch is too old is passed over, and the reason is printed', async () => {
    const old = world.writeLibtorch('site-packages/torch', '2.6.0');
    world.python({ torch: old, download: world.downloadOf(world.writeWheel()) });
    const { status, stdout, stderr } = await world.setup();
    expect(stderr).toContain('python3: expected libtorch 2.7.0 or newer, got 2.6.0');
    expect([status, stdout]).toEqual([0, `${join(world.cache, COPY, 'torch')}\n`]);
  });

  test('a python3 whose torch has no headers, as in some distributions, is passed over', async () => {
    const root = join(world.folder, 'site-packages/torch');
    mkdirSync(root, { recursive: true });
    world.python({ torch: root, download: world.downloadOf(world.writeWheel()) });
    const { stderr } = await world.setup();
    expect(stderr).toContain(`python3: ${root} is no libtorch: it has no lib/libtorch_cpu`);
  });

  test.each([
    ['is too old', '2.6.0', 'ERR_SETUP_TOO_OLD', 17],
    ['is no libtorch', undefined, 'ERR_SETUP_NOT_LIBTORCH', 19],
  ])(
    'a LIBTORCH that %s is an error, not a reason to build against another',
    async (_, version, code, exit) => {
      world.python({ download: world.downloadOf(world.writeWheel()) });
      const root = version === undefined ? world.folder : world.writeLibtorch('old', version);
      const { status, stderr } = await world.setup({ LIBTORCH: root });
      expect(status).toBe(exit);
      expect(stderr).toContain(`error ${code}: LIBTORCH: `);
      expect(world.downloads).toBe(0);
    },
  );

  test('nothing in the working folder can pass for torch or for a module that python3 imports', async () => {
    world.python({
      all: '[ "$PWD" = / ] || { echo "started in $PWD" >&2; exit 8; }',
      torch: world.writeLibtorch('torch'),
    });
    const { status, stderr } = await world.setup();
    expect([status, stderr]).toEqual([0, expect.stringContaining('from python3')]);
  });
});

describe('fetching libtorch', () => {
  test('unpacks the libraries and headers alone, removes the wheel, and finds the copy the next time', async () => {
    world.python({ download: world.downloadOf(world.writeWheel()) });
    const root = join(world.cache, COPY, 'torch');
    const first = await world.setup();
    expect([first.status, first.stdout]).toEqual([0, `${root}\n`]);
    expect(readdirSync(world.cache)).toEqual([COPY]);
    expect(readdirSync(root).sort()).toEqual(['include', 'lib']);
    expect(readdirSync(join(root, 'lib')).some((name) => name.includes('python'))).toBe(false);
    const second = await world.setup();
    expect(second.stderr).toContain('libtorch 2.13.0 from cache');
    expect(world.downloads).toBe(1);
  });

  test('two at once download once, and both end well', async () => {
    world.python({ download: world.downloadOf(world.writeWheel(), 1) });
    const both = await Promise.all([world.setup(), world.setup()]);
    expect(both.map(({ status }) => status)).toEqual([0, 0]);
    expect(both.some(({ stderr }) => stderr.includes('which does the same work'))).toBe(true);
    expect(world.downloads).toBe(1);
  });

  test('what an interrupted setup left behind is removed and done again', async () => {
    const left = join(world.cache, `.partial-${hostname()}-4194305`);
    mkdirSync(left, { recursive: true });
    writeFileSync(join(left, 'torch.whl'), 'half');
    writeFileSync(join(world.cache, '.lock'), JSON.stringify({ pid: 4194305, host: hostname() }));
    world.python({ download: world.downloadOf(world.writeWheel()) });
    const { status, stderr } = await world.setup();
    expect(stderr).toContain('removed what an interrupted setup had left behind');
    expect([status, readdirSync(world.cache)]).toEqual([0, [COPY]]);
  });

  test('a copy that lost bytes or was never finished is fetched again', async () => {
    world.python({ download: world.downloadOf(world.writeWheel()) });
    await world.setup();
    const library = readdirSync(join(world.cache, COPY, 'torch/lib')).find((name) =>
      name.startsWith('libtorch_cpu'),
    );
    const file = join(world.cache, COPY, 'torch/lib', String(library));
    writeFileSync(file, 'cut');
    const { stderr } = await world.setup();
    expect(stderr).toContain('is damaged');
    expect(readFileSync(file, 'utf8')).toBe('the operators');
  });

  test('the size is said before the download, and a build for a GPU is stopped at once', async () => {
    const line = 'Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (555.1 MB)';
    world.python({ download: `echo "${line}"; exec /bin/sleep 60` });
    const { status, stderr } = await world.setup();
    expect(status).toBe(14);
    expect(stderr).toContain('downloading torch 2.13.0: 555 MB');
    expect(stderr).toContain('PIP_EXTRA_INDEX_URL');
    expect(readdirSync(world.cache)).toEqual([]);
  });

  test('a Python without a wheel takes the libraries from the wheel of another Python', async () => {
    const wheel = world.writeWheel();
    const none = 'echo "ERROR: No matching distribution found for torch==2.13.0" >&2; exit 1';
    world.python({
      download: `case "$*" in *--python-version*) /bin/cp ${wheel} "$dest"/ ;; *) ${none} ;; esac`,
    });
    const { status, stderr } = await world.setup();
    expect([status, stderr]).toEqual([0, expect.stringContaining('trying that of Python 3.12')]);
  });
});

describe('each way to fail has its code, its exit status and a way out', () => {
  const say = (words: string): string => `echo "${words}" >&2; exit 1`;
  const failures: [string, string, number, FakePython | undefined, RegExp][] = [
    ['no python3', 'ERR_SETUP_NO_PYTHON', 10, undefined, /Install Python 3\.10 or newer.*LIBTORCH/],
    [
      'a python3 that does not start',
      'ERR_SETUP_NO_PYTHON',
      10,
      { all: say('broken') },
      /one that fails \(broken\)/,
    ],
    ['neither pip nor ensurepip', 'ERR_SETUP_NO_PIP', 11, { pip: false }, /python3-pip.*ensurepip.*LIBTORCH/],
    [
      'no matching wheel',
      'ERR_SETUP_NO_WHEEL',
      12,
      { download: say('ERROR: No matching distribution found for torch==2.13.0') },
      /no wheel of torch 2\.13\.0 for this platform.*LIBTORCH/,
    ],
    [
      'no network',
      'ERR_SETUP_DOWNLOAD',
      13,
      {
        download: say(
          'WARNING: Retrying (Retry(total=0)) after NewConnectionError\nERROR: Could not find a version',
        ),
      },
      /could not be reached: check the network/,
    ],
    [
      'a wheel that is not what the index lists',
      'ERR_SETUP_CHECKSUM',
      15,
      { download: say('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.') },
      /checksum is not the one/,
    ],
    [
      'a disk that fills up during the download',
      'ERR_SETUP_NO_SPACE',
      16,
      {
        download: say(
          'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device',
        ),
      },
      /FREQFUSION_CACHE/,
    ],
  ];
  test.each(failures)('%s', async (_, code, exit, python, words) => {
    if (python !== undefined) world.python(python);
    const { status, stdout, stderr } = await world.setup();
    const last = stderr.trim().split('\n').at(-1);
    expect([status, stdout]).toEqual([exit, '']);
    expect(last).toMatch(new RegExp(`^error ${code}: `));
    expect(last).toMatch(words);
  });

  test('a file of the wheel whose checksum is not the one in RECORD', async () => {
    world.python({
      download: world.downloadOf(world.writeWheel({ wrong: 'torch/include/ATen/core/Tensor.h' })),
    });
    const { status, stderr } = await world.setup();
    expect(status).toBe(15);
    expect(stderr).toMatch(/expected sha256=\S+ for torch\/include\/ATen\/core\/Tensor\.h, got sha256=/);
    expect(readdirSync(world.cache)).toEqual([]);
  });

  test('a wheel whose bytes were damaged on the way', async () => {
    const wheel = world.writeWheel();
    writeFileSync(wheel, readFileSync(wheel).subarray(0, 300));
    world.python({ download: world.downloadOf(wheel) });
    const { status, stderr } = await world.setup();
    expect([status, stderr]).toEqual([15, expect.stringContaining('the wheel is damaged')]);
  });

  test('a wheel with a name that leaves its folder', async () => {
    const wheel = world.writeWheel({ extra: { 'torch/include/../../../escaped.h': 'x' } });
    world.python({ download: world.downloadOf(wheel) });
    const { status, stderr } = await world.setup();
    expect([status, stderr]).toEqual([15, expect.stringContaining('leaves the folder')]);
    expect(readdirSync(world.cache)).toEqual([]);
  });

  test('a small wheel that holds CUDA libraries after all', async () => {
    const wheel = world.writeWheel({ extra: { 'torch/lib/libtorch_cuda.so': 'x' } });
    world.python({ download: world.downloadOf(wheel) });
    const { status, stderr } = await world.setup();
    expect([status, stderr]).toEqual([14, expect.stringContaining('holds torch/lib/libtorch_cuda.so')]);
  });

  test('too little space is said before anything is downloaded', async () => {
    world.python({ download: world.downloadOf(world.writeWheel()) });
    const { status, stderr } = await world.script(`
      import { fetchLibtorch } from './fetch.mjs';
      import { exitWith } from './errors.mjs';
      await fetchLibtorch({ free: () => 10e6 }).catch(exitWith);
    `);
    expect([status, world.downloads]).toEqual([16, 0]);
    expect(stderr).toMatch(/ERR_SETUP_NO_SPACE: expected 750 MB free in .*, got 10 MB/);
  });

  test('a cache folder that cannot be made', async () => {
    writeFileSync(world.cache, 'a file stands in its place');
    world.python({ download: world.downloadOf(world.writeWheel()) });
    const { status, stderr } = await world.setup();
    expect([status, stderr]).toEqual([18, expect.stringContaining('error ERR_SETUP_CACHE_UNWRITABLE: ')]);
  });

  test('another setup that never ends', async () => {
    const { status, stderr } = await world.script(`
      import { mkdirSync } from 'node:fs';
      import { prepareCache, withLock } from './cache.mjs';
      import { exitWith } from './errors.mjs';
      prepareCache(process.env.FREQFUSION_CACHE);
      const lock = process.env.FREQFUSION_CACHE + '/.lock';
      await withLock(lock, () => withLock(lock, () => {}, { patience: 300 })).catch(exitWith);
    `);
    expect([status, stderr]).toEqual([20, expect.stringContaining('error ERR_SETUP_BUSY: process ')]);
  });
});

describe('a processor without AVX2', () => {
  const note = async (flags: string, architecture: string): Promise<string> => {
    const { stdout } = await world.script(`
      import { cpuNote } from './check.mjs';
      console.log(cpuNote('flags\\t\\t: ${flags}\\n', '${architecture}') ?? 'nothing to say');
    `);
    return stdout.trim();
  };

  test('is told that it works, and slowly', async () => {
    expect(await note('fpu sse2 avx', 'x64')).toMatch(/no AVX2.*baseline kernels.*more slowly/);
  });

  test('is the only one that is told', async () => {
    expect(await note('fpu sse2 avx avx2 fma', 'x64')).toBe('nothing to say');
    expect(await note('', 'arm64')).toBe('nothing to say');
  });
});
