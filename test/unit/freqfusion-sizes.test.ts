import { FreqFusion, type FreqFusionOptions } from '../../lib/modules/freqfusion';
import sizes from './fixtures/freqfusion-sizes.json';
import { distance, errorOf, fill, map, padEdge } from './synthetic';

const SMALL = { hrChannels: 6, lrChannels: 8, compressedChannels: 8 } as const;
const RESAMPLED = { ...SMALL, featureResample: true } as const;

function inputs(hr: readonly [number, number] = [12, 16], lr: readonly [number, number] = [6, 8], batch = 1) {
  return { hrFeat: map('hr', [batch, 6, ...hr]), lrFeat: map('lr', [batch, 8, ...lr]) };
}

const filled = (options: FreqFusionOptions) => fill(new FreqFusion(options));

// What the reference did: border, semiConv, compFeatUpsample, useHighPass, featureResample, sizes of hr and lr, outcome.
type SizeRow = [
  'zeros' | 'reflect',
  boolean,
  boolean,
  boolean,
  boolean,
  [number, number],
  [number, number],
  string,
];
const sizeRows = (sizes as SizeRow[])
  .map(([border, semiConv, compFeatUpsample, useHighPass, featureResample, hr, lr, outcome]) => ({
    options: { border, semiConv, compFeatUpsample, useHighPass, featureResample },
    hr,
    lr,
    outcome,
  }))
  .filter(({ outcome }) => outcome !== 'unsupported');

describe('sizes', () => {
  test.each(sizeRows)(
    'given $options, hr $hr and lr $lr, then as in the reference: $outcome',
    async ({ hr, lr, outcome, options }) => {
      using ff = await filled({ ...SMALL, ...options });
      const maps = inputs(hr, lr);
      if (outcome === 'ok') {
        const result = await ff.forward(maps);
        expect(result.maskLr.shape).toEqual([1, 25, ...hr]);
        expect(result.hrFeat.shape).toEqual([1, 6, ...hr]);
        expect(result.lrFeat.shape).toEqual([1, 8, ...hr]);
      } else {
        const error = await errorOf(() => ff.forward(maps));
        expect(error.code).toBe('ERR_SHAPE');
      }
    },
  );

  test('given hr that is not twice lr, then the error names both shapes, the rule and the way out', async () => {
    using ff = await filled(SMALL);
    const error = await errorOf(() => ff.forward(inputs([13, 15], [7, 8])));
    expect(error.code).toBe('ERR_SHAPE');
    expect(error.message).toBe(
      "expected exactly twice the height and width of lrFeat [1, 8, 7, 8] (or sizePolicy 'pad', which pads both and crops the result) for hrFeat, got [1, 6, 13, 15]",
    );
  });

  test("given border 'reflect' and a map smaller than the kernel reaches, then the error names the least size", async () => {
    using ff = await filled({ ...SMALL, border: 'reflect' });
    const error = await errorOf(() => ff.forward(inputs([4, 4], [2, 2])));
    expect(error.message).toContain('at least 3 x 3 pixels');
    expect(error.message).toContain('[1, 8, 2, 2]');
  });
});

describe("sizePolicy 'pad'", () => {
  test.each([
    [
      [13, 15],
      [7, 8],
    ],
    [
      [13, 15],
      [6, 7],
    ],
    [
      [12, 15],
      [6, 8],
    ],
    [
      [27, 20],
      [14, 10],
    ],
    [
      [1, 1],
      [1, 1],
    ],
  ] as const)(
    'given hr %j and lr %j, then it is the strict result of edge-padded maps, cropped',
    async (hr, lr) => {
      using padding = await filled({ ...RESAMPLED, sizePolicy: 'pad' });
      using strict = await filled(RESAMPLED);
      const maps = inputs(hr, lr, 2);
      const side = (i: 0 | 1) => Math.max(lr[i], Math.ceil(hr[i] / 2));
      const expected = await strict.forward({
        hrFeat: padEdge(maps.hrFeat, 2 * side(0), 2 * side(1)),
        lrFeat: padEdge(maps.lrFeat, side(0), side(1)),
      });
      const result = await padding.forward(maps);
      for (const name of ['maskLr', 'hrFeat', 'lrFeat'] as const) {
        const crop = expected[name].slice(2, 0, hr[0]).slice(3, 0, hr[1]);
        expect(distance(result[name], crop)).toBe(0);
      }
    },
  );

  test('given exact sizes, then it equals strict', async () => {
    using padding = await filled({ ...RESAMPLED, sizePolicy: 'pad' });
    using strict = await filled(RESAMPLED);
    const [a, b] = [await padding.forward(inputs()), await strict.forward(inputs())];
    expect(distance(a.lrFeat, b.lrFeat)).toBe(0);
  });

  test('given a flow that takes any sizes, then nothing is padded', async () => {
    using padding = await filled({ ...SMALL, semiConv: false, sizePolicy: 'pad' });
    using strict = await filled({ ...SMALL, semiConv: false });
    const [a, b] = [await padding.forward(inputs([13, 15])), await strict.forward(inputs([13, 15]))];
    expect(distance(a.hrFeat, b.hrFeat)).toBe(0);
  });

  test('given its parts, then each gives maps of the size of hr', async () => {
    using ff = await filled({ ...RESAMPLED, sizePolicy: 'pad' });
    const maps = inputs([13, 15], [6, 8]);
    expect((await ff.lowPassFilter(maps)).lrFeat.shape).toEqual([1, 8, 13, 15]);
    expect((await ff.highPassFilter(maps)).maskHr.shape).toEqual([1, 9, 13, 15]);
    const { offset, lrFeat } = await ff.offsetGenerator(maps);
    expect([offset.shape, lrFeat.shape]).toEqual([
      [1, 32, 7, 8],
      [1, 8, 13, 15],
    ]);
  });
});
