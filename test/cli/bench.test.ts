import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OPERATOR_NAMES } from '../../lib/bench/operators';
import { cli, inFolder } from './run';

describe('freqfusion bench', () => {
  it('measures every operator in both layouts, against roofs of the same run', async () => {
    const { code, stdout } = await cli(['bench', 'ops', '--runs', '2', '--shape', 'small', '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.environment).toMatchObject({
      cpu: expect.any(String),
      threads: expect.any(Number),
      libtorch: expect.stringMatching(/^\d/),
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    for (const roof of ['copy', 'stream', 'fma']) {
      expect(report.roofs[roof].best).toBeGreaterThanOrEqual(report.roofs[roof].median);
      expect(report.roofs[roof].median).toBeGreaterThan(0);
    }
    expect(report.rows.map(({ name }: { name: string }) => name)).toEqual(
      OPERATOR_NAMES.flatMap((name) => [name, name]),
    );
    for (const row of report.rows) {
      expect(row.ms).toEqual({ median: expect.any(Number), min: expect.any(Number), runs: 2 });
      expect(row.ms.median).toBeGreaterThanOrEqual(row.ms.min);
      expect(row.roofShare).toBeGreaterThan(0);
      expect(row.peakRss).toBeGreaterThan(1e6);
    }
  });

  it('measures FreqFusion in several dtypes, as Markdown and as a picture', () =>
    inFolder(async (folder) => {
      const plot = join(folder, 'plot.svg');
      const args = ['bench', 'module', '--shape', 'small', '8x16x16', '--dtype', 'float32', 'bfloat16'];
      const { code, stdout } = await cli([
        ...args,
        '--runs',
        '1',
        '--threads',
        '1',
        '--markdown',
        '--plot',
        plot,
      ]);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^\| FreqFusion small, 16 x 32 x 32, offset generator \| float32 \|/m);
      expect(stdout).toMatch(/^\| {2}\| bfloat16 \|/m);
      expect(stdout).toContain('1 thread,');
      expect(readFileSync(plot, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
    }));

  it('measures whole models and the first page of a new process', async () => {
    const { code, stdout } = await cli(['bench', 'model', '--shape', '64x96', '--runs', '1']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^SegNeXt-T \+ FreqFusion, 64 x 96 +float32 /m);
    expect(stdout).toMatch(/^bundled page model, /m);
    expect(stdout).toMatch(/^First result: \d+\.\d\d s from the start of a process/m);
  });

  it.each([
    [['kernels'], /Expected one of ops, module, model, scaling/],
    [['ops', '--shape', '5x8x8'], /expected small, large or CxHxW .* got 5x8x8/],
    [['module', '--shape', 'E'], /expected A, B, C, D, small or CxHxW .* got E/],
    [['module', '--shape', '8x15x16'], /even sides/],
    [['model', '--shape', 'A'], /expected HxW .* got A/],
    [['scaling', '--shape', '64'], /leave --shape out/],
    [['--shape', 'small'], /--shape needs a target/],
    [['ops', '--json', '--markdown'], /exclude each other/],
    [['ops', '--plot', 'plot.png'], /ending in \.svg/],
    [['ops', '--runs', '0'], /Expected an integer from 1/],
    [['ops', '--dtype', 'int8'], /Allowed choices are float32/],
    [['scaling', '--device', 'cuda'], /bench scaling measures the CPU, got --device cuda/],
  ])('ends %j with exit code 2', async (args, message) => {
    const { code, stderr } = await cli(['bench', ...args]);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it('says where a plot cannot be written', async () => {
    const plot = '/nonexistent/plot.svg';
    const { code, stderr } = await cli(['bench', 'ops', '--shape', 'small', '--runs', '1', '--plot', plot]);
    expect(stderr).toMatch(/cannot be written \(ENOENT\)/);
    expect(code).toBe(5);
  });
});
