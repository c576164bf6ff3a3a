import {
  describeGpuComparison,
  type GpuComparison,
  gpuComparisonCells,
  gpuComparisonMarkdown,
  plotGpuComparison,
  replaceGpuBlock,
} from '../../lib/bench/gpu-comparison';

const row = (contender: string, label: string, median: number, extraBytes?: number) => ({
  contender,
  label,
  ms: { median, min: median, runs: 25 },
  prepareSeconds: 1,
  error: 2e-6,
  ...(extraBytes === undefined ? {} : { extraBytes }),
});

function comparison(): GpuComparison {
  return {
    environment: null,
    gpu: {
      device: 'cuda',
      gpu: 'A GPU',
      driver: '1.2',
      memoryBytes: 2 ** 34,
      python: '3.11.0',
      torch: '2.13.0',
      cuda: '13.0',
      cudnn: 91000,
    },
    copy: { best: 1000, median: 900 },
    cases: [
      {
        case: '256',
        title: 'FreqFusion 256',
        shape: '256 x 256 x 256',
        dtype: 'float16',
        flops: 1e9,
        bytes: 1e8,
        rows: [
          row('ours', 'freqfusion', 0.2, 5e6),
          row('graph', 'freqfusion, CUDA graph', 0.1),
          { ...row('best', 'best of its own', 2, 9e8), note: 'windows, channels-last' },
        ],
        skipped: [{ contender: 'compile', label: 'torch.compile', reason: 'no compiler', disagrees: false }],
      },
    ],
  };
}

describe('the comparison on a GPU', () => {
  test('has times, ratios, shares of the copy and memory', () => {
    const [header, ours, graph, best] = gpuComparisonCells(comparison());
    expect(header).toHaveLength(8);
    // 1e8 bytes in 0.2 ms are 500 GB/s, half of the copy's.
    expect(ours).toEqual([
      'FreqFusion 256, 256 x 256 x 256, float16',
      'freqfusion',
      '200',
      '200',
      '25',
      '1.00',
      '50.0 %',
      '5.0 MB',
    ]);
    // What a graph keeps is not to be told from what was there: no figure in place of a wrong one.
    expect(graph).toEqual(['', 'freqfusion, CUDA graph', '100', '100', '25', '0.50', '100.0 %', '']);
    expect(best!.slice(5)).toEqual(['10.00', '5.0 %', '900.0 MB']);
  });

  test('says what could not be timed, and what the best of several was', () => {
    const { head, notes } = describeGpuComparison(comparison());
    expect(head[0]).toBe('A GPU (cuda), 16 GiB, driver 1.2');
    expect(head).toContain('freqfusion in Node did not start.');
    expect(notes).toContain(
      'FreqFusion 256, 256 x 256 x 256, float16, torch.compile: not timed: no compiler',
    );
    expect(notes).toContain(
      'FreqFusion 256, 256 x 256 x 256, float16, best of its own: windows, channels-last',
    );
    expect(gpuComparisonMarkdown(comparison())).toContain('| 200 | 200 | 25 | 1.00 | 50.0 % | 5.0 MB |');
    expect(plotGpuComparison(comparison())).toContain('10.0 x, 2000 us');
  });

  test('a case without freqfusion has times and no ratios', () => {
    const result = comparison();
    const [only] = result.cases;
    only!.rows.splice(0, 2);
    only!.bytes = 0;
    expect(gpuComparisonCells(result)[1]!.slice(5)).toEqual(['', '', '900.0 MB']);
    expect(plotGpuComparison(result)).toContain('<svg');
  });

  test('goes between marks of its own, and leaves the table of CPUs alone', () => {
    const readme =
      'a\n<!-- bench -->\nCPU\n<!-- /bench -->\nb\n<!-- gpu-bench -->\nold\n<!-- /gpu-bench -->\nc\n';
    const changed = replaceGpuBlock(readme, comparison(), 'bench/results/x');
    expect(changed).toContain('<!-- bench -->\nCPU\n<!-- /bench -->\nb\n');
    expect(changed).not.toContain('old');
    expect(changed).toContain(
      '| FreqFusion 256, 256 x 256 x 256, float16 | freqfusion | 200 | 1.00 | 5.0 MB |',
    );
    expect(changed).toContain('A GPU (cuda), 16 GiB, driver 1.2. All of it: [bench/results/x.md]');
    const without = readme.replaceAll('gpu-bench', 'other');
    expect(replaceGpuBlock(without, comparison(), 'x')).toBe(without);
  });
});
