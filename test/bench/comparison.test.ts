import {
  type Comparison,
  compareRatios,
  comparisonMarkdown,
  comparisonRows,
  readmeBlock,
  replaceMarked,
} from '../../lib/bench/comparison';

function comparison(ours: number, eager: number): Comparison {
  const row = (contender: string, label: string, ms: number) => ({
    contender,
    label,
    ms: { median: ms, min: ms, runs: 3 },
    peakRss: 1e9,
    prepareSeconds: 1,
    error: 1e-6,
  });
  return {
    environment: {
      date: '2030-01-02T03:04:05.678Z',
      cpu: 'a processor',
      cores: 2,
      threads: 2,
      instructionSet: 'avx2',
      memoryBytes: 2 ** 34,
      load: 0.1,
      freqfusion: '1.2.3',
      commit: 'abc',
      node: '20.0.0',
      libtorch: '2.13.0',
      platform: 'linux x64',
      python: '3.11.0',
      torch: '2.13.0',
      onnxruntime: '1.31.1',
    },
    roofs: {
      copy: { best: 50, median: 45 },
      stream: { best: 80, median: 70 },
      fma: { best: 400, median: 380 },
    },
    cases: [
      {
        case: 'C',
        title: 'FreqFusion C',
        shape: '256 x 200 x 304',
        flops: 1e9,
        bytes: 1e8,
        rows: [
          row('ours', 'freqfusion', ours),
          row('eager', 'PyTorch eager', eager),
          row('floor', 'floor', 5),
        ],
        skipped: [{ contender: 'onnxruntime', label: 'ONNX Runtime', reason: 'needs more memory' }],
      },
    ],
  };
}

it('gives every contender its ratio to this package', () => {
  const rows = comparisonRows(comparison(10, 400));
  expect(rows.map(({ ratio }) => ratio)).toEqual([1, 40, 0.5]);
  expect(rows[2]).toMatchObject({ gflops: 0, roofShare: 0 });
});

it('says where and with what it was measured, and who was left out and why', () => {
  const text = comparisonMarkdown(comparison(10, 400));
  expect(text).toContain('a processor, 2 cores, 2 threads, avx2');
  expect(text).toContain('torch 2.13.0, ONNX Runtime 1.31.1');
  expect(text).toContain('| FreqFusion C, 256 x 200 x 304 | freqfusion | 10.0 |');
  expect(text).toContain('ONNX Runtime: not timed, needs more memory');
  expect(text).toContain('agreed with PyTorch eager');
});

describe('the check', () => {
  it('tells of a loss of more than 15 percent of a ratio, not of a slower machine', () => {
    const before = comparison(10, 400);
    expect(compareRatios(before, comparison(20, 800))).toMatchObject([{ change: 0, lost: false }]);
    expect(compareRatios(before, comparison(11, 400))).toMatchObject([{ lost: false }]);
    expect(compareRatios(before, comparison(12, 400))).toMatchObject([{ before: 40, lost: true }]);
  });

  it('compares nothing that only one run has', () => {
    const other = comparison(10, 400);
    other.cases[0]!.case = 'D';
    expect(compareRatios(other, comparison(10, 400))).toEqual([]);
  });
});

describe('the README', () => {
  it('gets plot and table between its marks, and keeps everything else', () => {
    const block = readmeBlock(comparison(10, 400), 'bench/results/x');
    const text = replaceMarked('before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n', block);
    expect(text).toMatch(/^before\n<!-- bench -->\n\n!\[[^\]]+\]\(bench\/results\/x\.svg\)/);
    expect(text).toMatch(/<!-- \/bench -->\nafter\n$/);
    expect(text).toContain('|  |  | ms median | x ours | of roof | peak RSS |');
    expect(text).not.toContain('old');
    expect(replaceMarked(text, block)).toBe(text);
  });

  it('is refused without marks', () => {
    expect(() => replaceMarked('nothing here', 'text')).toThrow(/expected the marks/);
  });
});
