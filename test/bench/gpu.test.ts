import { type GpuCandidate, type GpuReport, gpuReport, measureOnGpu } from '../../lib/bench/gpu';
import { gpuCells, gpuMarkdown, plotGpuReport } from '../../lib/bench/gpu-report';
import { gpuModels } from '../../lib/bench/models';
import { gpuModules, MODULE_CASES } from '../../lib/bench/modules';
import { gpuOperators, OPERATOR_NAMES } from '../../lib/bench/operators';
import { memoryStats } from '../../lib/device';
import { expectNothingLeft } from '../collect-garbage';

// The CPU stands in for the GPU: the addon times jobs of both, on the CPU by its clock.
const device = 'cpu';
const size = { channels: 8, height: 8, width: 8 };

describe('what is measured on a GPU', () => {
  it('is every operator in each dtype and layout, and without the sampler for channels that it cannot group', () => {
    const all = gpuOperators(size, { dtypes: ['float32', 'bfloat16'], device });
    expect(new Set(all.map(({ name }) => name))).toEqual(new Set(OPERATOR_NAMES));
    expect(all).toHaveLength(4 * OPERATOR_NAMES.length);
    const odd = gpuOperators({ ...size, channels: 9 }, { dtypes: ['float32'], device });
    expect(odd.map(({ name }) => name)).not.toContain('offset_sampler g4');
  });

  it('is a module and a model, each without and with a graph', () => {
    const modules = gpuModules(MODULE_CASES.small!, { dtypes: ['float16'], device });
    expect(modules.map(({ variant }) => variant)).toEqual(['float16', 'float16, graph']);
    const [network] = gpuModels([64, 40], ['float16'], device);
    expect(network).toMatchObject({ shape: '64 x 64', work: { flops: expect.any(Number) } });
  });

  it('runs, is held against a copy, and leaves nothing behind', async () => {
    const before = memoryStats();
    const candidates = [
      ...gpuOperators(size, { dtypes: ['float32'], device }),
      ...gpuModules(MODULE_CASES.small!, { dtypes: ['float32'], device }).slice(0, 1),
      ...gpuModels([64, 64], ['float32'], device).slice(0, 1),
    ];
    const seen: string[] = [];
    const { copy, rows } = await measureOnGpu(candidates, {
      device,
      runs: 2,
      onProgress: (name) => seen.push(name),
    });
    expect(copy.best).toBeGreaterThanOrEqual(copy.median);
    expect(rows).toHaveLength(candidates.length);
    for (const row of rows) {
      expect(row.error).toBeUndefined();
      expect(row).toMatchObject({ ms: { runs: 2 }, extraBytes: 0 });
      expect(row.gbs).toBeCloseTo(row.bytes / row.ms!.median / 1e6, 9);
      expect(row.copyShare).toBeCloseTo(row.gbs! / copy.best, 9);
    }
    expect(new Set(seen).size).toBe(OPERATOR_NAMES.length + 2);
    expectNothingLeft(before);
  });

  it('is written down where it fails, and the next one runs', async () => {
    const [good] = gpuOperators(size, { dtypes: ['float32'], device });
    const bad: GpuCandidate = { ...good!, name: 'bad', time: () => Promise.reject(new Error('no kernel')) };
    const report = await gpuReport([bad, good!], { device, runs: 1 });
    expect(report.rows.map(({ error }) => error)).toEqual(['no kernel', undefined]);
    expect(report.rows[0]).not.toHaveProperty('ms');
    expect(report.gpu).toMatchObject({ device, memoryBytes: 0 });
    expect(gpuMarkdown(report)).toContain(
      '- bad, 8 x 16 x 16, float32 channels-first: not measured: no kernel',
    );
  });
});

describe('a report of a GPU', () => {
  const row = {
    name: 'carafe',
    shape: '8 x 4 x 4',
    flops: 1,
    bytes: 2e6,
    ms: { median: 0.0512, min: 0.05, runs: 20 },
  };
  const report: GpuReport = {
    environment: { cpu: 'c', cores: 1, threads: 1, instructionSet: 'x', memoryBytes: 0, load: 0 } as never,
    gpu: { device: 'cuda', name: 'A GPU', driver: '1.2', memoryBytes: 80 * 2 ** 30 },
    copy: { best: 100, median: 90 },
    rows: [
      { ...row, variant: 'float32', gbs: 39.06, copyShare: 0.3906, extraBytes: 1.5e6 },
      { ...row, variant: 'float16', error: 'out of memory', ms: undefined as never },
    ],
  };

  it('names a case once, and microseconds, bandwidth and memory of its rows', () => {
    const [, first, second] = gpuCells(report.rows);
    expect(first).toEqual(['carafe, 8 x 4 x 4', 'float32', '51.2', '50.0', '20', '39', '39 %', '1.5 MB']);
    expect(second!.slice(0, 3)).toEqual(['', 'float16', 'failed']);
  });

  it('says which GPU it was, and plots what was measured', () => {
    expect(gpuMarkdown(report)).toMatch(/^A GPU \(cuda\), 80 GiB, driver 1\.2\n/);
    const plot = plotGpuReport(report);
    expect(plot).toContain('51.2 us, 39 % of a copy');
    expect(plot).not.toContain('float16');
  });
});
