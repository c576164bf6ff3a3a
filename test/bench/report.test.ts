import { cells, makeRow, markdownTable, milliseconds, type Row } from '../../lib/bench/report';
import type { Roofs } from '../../lib/bench/roofs';
import { decades, drawPlot, escapeXml } from '../../lib/bench/svg';

const roofs: Roofs = {
  copy: { best: 50, median: 45 },
  stream: { best: 100, median: 70 },
  fma: { best: 400, median: 380 },
};

function row(variant: string, median: number, ratio?: number): Row {
  const measured = {
    name: 'carafe',
    variant,
    shape: '8 x 4 x 4',
    work: { flops: 4e9, bytes: 1e9 },
    ms: { median, min: median / 2, runs: 5 },
    peakRss: 123e6,
  };
  return { ...makeRow(measured, roofs), ...(ratio !== undefined && { ratio }) };
}

describe('a table', () => {
  it('has what follows from time and work', () => {
    expect(row('float32', 20)).toMatchObject({ gflops: 200, gbs: 50, roofShare: 0.5 });
  });

  it('names a case once and shows ratios where there are any', () => {
    const [header, first, second] = cells([row('ours', 20, 1), row('eager', 400, 20)]);
    expect(header).toContain('x ours');
    expect(first!.slice(0, 3)).toEqual(['carafe, 8 x 4 x 4', 'ours', '20.0']);
    expect(second!.slice(0, 3)).toEqual(['', 'eager', '400']);
    expect(second![header!.indexOf('x ours')]).toBe('20.0');
    expect(cells([row('ours', 20)])[0]).not.toContain('x ours');
  });

  it('is Markdown that names columns once and keeps a bar in a cell', () => {
    expect(
      markdownTable([
        ['a', 'b', 'c'],
        ['x|y', '1', '2'],
      ]).split('\n'),
    ).toEqual(['| a | b | c |', '|---|---|---:|', '| x\\|y | 1 | 2 |']);
  });

  it.each([
    [0.0512, '0.0512'],
    [15.51, '15.5'],
    [6561.4, '6561'],
  ])('writes %d ms as %s', (value, text) => {
    expect(milliseconds(value)).toBe(text);
  });
});

describe('a plot', () => {
  const plot = drawPlot({
    title: 'a < b & "c"',
    subtitle: '',
    groups: [
      {
        title: 'group',
        bars: [
          { label: 'ours', value: 1, text: '1 x', own: true },
          { label: 'eager', value: 30, text: '30 x', own: false },
        ],
      },
    ],
    roofs,
    points: [{ label: 'ours', intensity: 4, gflops: 200, own: true }],
    footer: ['where'],
  });

  it('is well-formed, with text as text', () => {
    expect(plot).toContain('<text x="16.0" y="30.0" class="title">a &#60; b &#38; &#34;c&#34;</text>');
    const opened = plot.match(/<(?!\/|!)[^>]*[^/]>/g)!.length;
    expect(plot.match(/<\/[a-z]+>/g)).toHaveLength(opened);
    expect(plot).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('has colours for light and for dark pages', () => {
    expect(plot).toContain('@media (prefers-color-scheme: dark)');
  });

  it('draws longer bars for greater values, and one for every value', () => {
    const widths = [...plot.matchAll(/<rect class="(?:own|other)"[^>]*width="([\d.]+)"/g)].map(([, w]) =>
      Number(w),
    );
    expect(widths).toHaveLength(2);
    expect(widths[1]).toBeGreaterThan(widths[0]!);
    expect(widths[0]).toBeGreaterThan(2);
  });

  it('stays whole where there is nothing to draw', () => {
    expect(drawPlot({ title: '', subtitle: '', groups: [], footer: [] })).toMatch(/<\/svg>\n$/);
  });

  it('puts decades around its values', () => {
    expect(decades([1, 30])).toEqual([-1, 2]);
    expect(decades([5])).toEqual([0, 1]);
    expect(decades([])).toEqual([0, 1]);
  });

  it('escapes what would end a text', () => {
    expect(escapeXml(`<a b="c">'&`)).toBe('&#60;a b=&#34;c&#34;&#62;&#39;&#38;');
  });
});
