import { FreqFusion, type FreqFusionOptions } from '../../lib/modules/freqfusion';
import { FusionPyramid } from '../../lib/modules/fusion-pyramid';
import { OffsetGenerator } from '../../lib/modules/offset-generator';
import { errorOf } from './synthetic';

const SMALL = { hrChannels: 6, lrChannels: 8, compressedChannels: 8 };

describe('options of a module', () => {
  const refused: [object, string, RegExp][] = [
    [
      { compressedChanels: 8 },
      'ERR_OPTION_UNKNOWN',
      /got "compressedChanels"; did you mean "compressedChannels"\?/,
    ],
    [{ nonsense: 1 }, 'ERR_OPTION_UNKNOWN', /got "nonsense"$/],
    [{ lowpassKernel: 4 }, 'ERR_OPTION_VALUE', /an odd integer from 1 to 31 for lowpassKernel, got 4/],
    [{ highpassKernel: 33 }, 'ERR_OPTION_VALUE', /highpassKernel, got 33/],
    [{ encoderKernel: 2 }, 'ERR_OPTION_VALUE', /encoderKernel/],
    [{ encoderDilation: 0 }, 'ERR_OPTION_VALUE', /an integer from 1 for encoderDilation, got 0/],
    [{ compressedChannels: 0 }, 'ERR_OPTION_VALUE', /compressedChannels/],
    [{ compressedChannels: 8.5 }, 'ERR_OPTION_TYPE', /an integer for compressedChannels, got 8.5/],
    [{ compressedChannels: '8' }, 'ERR_OPTION_TYPE', /an integer for compressedChannels, got "8"/],
    [{ lowpassKernel: Number.NaN }, 'ERR_OPTION_TYPE', /lowpassKernel/],
    [{ semiConv: 1 }, 'ERR_OPTION_TYPE', /a boolean for semiConv, got 1/],
    [{ semiConv: [true] }, 'ERR_OPTION_TYPE', /a boolean for semiConv, got a list of 1/],
    [{ border: 'wrap' }, 'ERR_OPTION_VALUE', /one of zeros, reflect for border, got "wrap"/],
    [{ border: 0 }, 'ERR_OPTION_TYPE', /a string for border, got 0/],
    [{ sizePolicy: 'crop' }, 'ERR_OPTION_VALUE', /one of strict, pad for sizePolicy/],
    [{ upsampleMode: 'linear' }, 'ERR_OPTION_VALUE', /nearest, nearest-exact, bilinear, bicubic, area/],
    [{ directionFeat: 'simconcat' }, 'ERR_OPTION_VALUE', /one of sim, sim_concat/],
    [{ scaleFactor: 2 }, 'ERR_OPTION_VALUE', /1 \(the reference runs with no other\) for scaleFactor, got 2/],
    [{ upGroup: 4 }, 'ERR_OPTION_VALUE', /a multiple of upGroup \(4\) for hrChannels, got 6/],
    [{ upGroup: 3 }, 'ERR_OPTION_VALUE', /for lrChannels, got 8/],
    [{ featureResample: true, featureResampleGroup: 3 }, 'ERR_OPTION_VALUE', /featureResampleGroup \(3\)/],
    [{ featureResample: true, compressedChannels: 28 }, 'ERR_OPTION_VALUE', /GroupNorm.*got 28/],
    [{ featureResample: true, compressedChannels: 4 }, 'ERR_OPTION_VALUE', /at least 8.*got 4/],
  ];
  test.each(refused)('given %j, then %s', async (options, code, words) => {
    const error = await errorOf(() => new FreqFusion({ ...SMALL, ...options } as FreqFusionOptions));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
    expect(error.expected).toBeDefined();
    expect(error.actual).toBeDefined();
  });

  test('given the one combination without a flow, then the error names the way out', async () => {
    const error = await errorOf(() => new FreqFusion({ ...SMALL, useHighPass: false }));
    expect(error.code).toBe('ERR_NOT_SUPPORTED');
    expect(error.message).toContain('set compFeatUpsample or semiConv to false');
  });

  test('given null or undefined, then an option has its default', () => {
    using ff = new FreqFusion({ ...SMALL, lowpassKernel: undefined, highpassKernel: null } as never);
    expect(ff.stateInfo()[0]!.shape).toEqual([1, 1, 5, 5]);
    expect(ff.stateInfo()[1]!.shape).toEqual([1, 1, 3, 3]);
  });

  test('given no norm, then any multiple of the groups is allowed', () => {
    using ff = new FreqFusion({
      ...SMALL,
      compressedChannels: 28,
      featureResample: true,
      featureResampleNorm: false,
    });
    expect(ff.stateInfo().some(({ name }) => name.includes('norm'))).toBe(false);
  });

  test.each([[undefined], [null], [{}], [{ hrChannels: 6 }], [{ hrChannels: 6, lrChannels: -1 }]])(
    'given %j in place of options, then a typed error',
    async (options) => {
      const error = await errorOf(() => new FreqFusion(options as never));
      expect(['ERR_TYPE', 'ERR_RANGE']).toContain(error.code);
    },
  );

  const others: [string, () => unknown, string, RegExp][] = [
    [
      'no direct scale with sim',
      () => new OffsetGenerator({ inChannels: 16, useDirectScale: false, directionFeat: 'sim' }),
      'ERR_NOT_SUPPORTED',
      /sim_concat/,
    ],
    [
      'channels that groups do not divide',
      () => new OffsetGenerator({ inChannels: 18 }),
      'ERR_OPTION_VALUE',
      /a multiple of its groups \(4\)/,
    ],
    [
      'a scale of 4',
      () => new OffsetGenerator({ inChannels: 16, scale: 4 as never }),
      'ERR_OPTION_VALUE',
      /scale/,
    ],
    [
      'the style pl',
      () => new OffsetGenerator({ inChannels: 16, style: 'pl' as never }),
      'ERR_OPTION_VALUE',
      /style/,
    ],
    [
      'an even window',
      () => new OffsetGenerator({ inChannels: 16, localWindow: 4 }),
      'ERR_OPTION_VALUE',
      /localWindow/,
    ],
    [
      'an unknown recipe',
      () => new FusionPyramid({ channels: 8, recipe: 'mul' as never }),
      'ERR_OPTION_VALUE',
      /concat, unet, add/,
    ],
    ['one level', () => new FusionPyramid({ channels: [8] }), 'ERR_OPTION_VALUE', /2 to 16 levels/],
    [
      'levels beside a list',
      () => new FusionPyramid({ channels: [8, 8], levels: 3 }),
      'ERR_OPTION_VALUE',
      /2, the length of channels/,
    ],
    ['levels of 1', () => new FusionPyramid({ channels: 8, levels: 1 }), 'ERR_OPTION_VALUE', /levels/],
    [
      'unequal channels for add',
      () => new FusionPyramid({ channels: [8, 16], recipe: 'add' }),
      'ERR_OPTION_VALUE',
      /the same count/,
    ],
    [
      'hrChannels of a pyramid',
      () => new FusionPyramid({ channels: 8, hrChannels: 8 } as never),
      'ERR_OPTION_UNKNOWN',
      /hrChannels/,
    ],
    ['no channels', () => new FusionPyramid({} as never), 'ERR_RANGE', /channels/],
  ];
  test.each(others)('given %s, then a typed error', async (_, make, code, words) => {
    const error = await errorOf(make);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
  });
});
