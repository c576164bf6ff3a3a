import { parseCase, readCase } from '../../lib/golden/case';
import { Config, camelCase } from '../../lib/golden/config';
import { parseJson } from '../../lib/golden/json';
import { parseSlice, slicedIndices, slicedShape } from '../../lib/golden/slice';
import { nmfBases, synthKey, uniform, weight, weightRange } from '../../lib/golden/synth';

describe('synthetic values', () => {
  it('gives the check values of the format page', () => {
    expect(synthKey('conv.weight', 0)).toBe(1750205960);
    const values = Array.from(uniform('conv.weight', [4], -1, 1, 0));
    expect(values).toEqual([0.912644, 0.94662535, -0.40791154, -0.6931809].map(Math.fround));
  });

  it('depends on the seed, the name and the index alone', () => {
    const longer = uniform('x', [2, 3, 5], -1, 1, 7);
    expect(Array.from(longer.subarray(0, 6))).toEqual(Array.from(uniform('x', [6], -1, 1, 7)));
    expect(uniform('x', [1], -1, 1, 8)[0]).not.toBe(longer[0]);
    expect(synthKey('é', 0)).not.toBe(synthKey('e', 0));
  });

  it.each([
    ['bn.running_var', [8], [0.5, 1.5]],
    ['bn.running_mean', [8], [-0.1, 0.1]],
    ['conv.bias', [8], [-0.05, 0.05]],
    ['attn.q_bias', [8], [-0.05, 0.05]],
    ['norm.weight', [8], [0.8, 1.2]],
    ['scale', [], [0.8, 1.2]],
    ['query_embed.weight', [10, 8], [-0.5, 0.5]],
    ['embed_proj.weight', [3, 12], [-0.5, 0.5]],
    ['conv.weight', [8, 3, 1, 1], [-1, 1]],
  ])('%s %j lies in %j', (name, shape, range) => {
    expect(weightRange(name, shape)).toEqual(range);
  });

  it('multiplies by every gain whose pattern is found in the name', () => {
    const plain = weight('block.layer_scale_1', [4], 3);
    const gains = [
      { pattern: /layer_scale_[12]$/, factor: 0.5 },
      { pattern: /^other/, factor: 9 },
    ];
    expect(Array.from(weight('block.layer_scale_1', [4], 3, gains))).toEqual(
      Array.from(plain, (value) => value / 2),
    );
    expect(Array.from(weight('block.layer_scale_3', [4], 3, gains))).toEqual(
      Array.from(weight('block.layer_scale_3', [4], 3)),
    );
  });

  it('normalises NMF bases over the channels', () => {
    const bases = nmfBases(2, 5, 3, 0);
    for (let b = 0; b < 2; b += 1) {
      for (let r = 0; r < 3; r += 1) {
        let sum = 0;
        for (let c = 0; c < 5; c += 1) sum += bases[(b * 5 + c) * 3 + r]! ** 2;
        expect(sum).toBeCloseTo(1, 6);
      }
    }
  });
});

describe('JSON of Python', () => {
  it('reads infinities, NaN and integers beyond 2^53', () => {
    expect(
      parseJson('[Infinity, -Infinity, NaN, 9223372036854775807, -9007199254740993, 4611686018427387904]'),
    ).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      9223372036854775807n,
      -9007199254740993n,
      4611686018427387904n,
    ]);
  });

  it('leaves texts and fractions alone', () => {
    const text =
      '{"a": "NaN, Infinity and 12345678901234567890", "b": 0.1234567890123456701, "c": 1.5e-10, "NaN": 1}';
    expect(parseJson(text)).toEqual({
      a: 'NaN, Infinity and 12345678901234567890',
      b: Number('0.1234567890123456701'),
      c: 1.5e-10,
      NaN: 1,
    });
  });

  it('refuses what is no JSON', () => {
    expect(() => parseJson('{"a": }')).toThrow(SyntaxError);
    expect(() => parseJson('["\\u0000number:5"]')).toThrow(SyntaxError);
  });
});

describe('slices', () => {
  it.each([
    [':, ::8', [1, 64, 16, 24], [1, 8, 16, 24]],
    [':, ::15, ::4, ::4', [1, 150, 30, 41], [1, 10, 8, 11]],
    ['::2, ::2', [5, 5], [3, 3]],
    [':', [2, 3], [2, 3]],
    ['1:4, -2:', [6, 7], [3, 2]],
    ['-1', [4], [1]],
    ['2:1', [4], [0]],
  ])('%s of %j is %j', (text, shape, expected) => {
    expect(slicedShape(parseSlice(text, shape))).toEqual(expected);
  });

  it('takes the elements that Python takes', () => {
    const ranges = parseSlice('1:, ::2', [3, 4]);
    expect(Array.from(slicedIndices(ranges, [3, 4]))).toEqual([4, 6, 8, 10]);
  });

  it.each(['a', ':, :, :', '::0', '9', '1;2'])('refuses "%s"', (text) => {
    expect(() => parseSlice(text, [3, 3])).toThrow(/slice/);
  });
});

describe('case.json', () => {
  const minimal = {
    family: 'carafe',
    case: 'one',
    outputs: [{ name: 'output', shape: [2, 3], tolerance: { rtol: 0, atol: 0 } }],
  };

  it('reads a minimal case with its defaults', () => {
    expect(parseCase(minimal)).toMatchObject({
      family: 'carafe',
      name: 'one',
      seed: 0,
      parameters: [],
      inputs: [],
      config: {},
    });
  });

  it('knows both spellings of a stored slice', () => {
    const output = (more: object) =>
      parseCase({ ...minimal, outputs: [{ ...minimal.outputs[0]!, ...more }] } as never).outputs[0]!;
    expect(output({ slice: ':, ::2', fullShape: [2, 6] })).toMatchObject({
      shape: [2, 6],
      storedShape: [2, 3],
    });
    expect(output({ slice: ':, ::2', stored_shape: [2, 2] })).toMatchObject({
      shape: [2, 3],
      storedShape: [2, 2],
    });
    expect(output({ slice: ':, ::2' }).shape).toBeUndefined();
  });

  it.each([
    ['no family', { ...minimal, family: undefined }, /family: expected a string/],
    ['an unknown member', { ...minimal, tolerances: 1 }, /unknown member "tolerances"/],
    [
      'an unknown tolerance',
      { ...minimal, outputs: [{ name: 'a', shape: [], tolerance: { ulp: 1 } }] },
      /unknown member "ulp"/,
    ],
    [
      'a negative tolerance',
      { ...minimal, outputs: [{ name: 'a', shape: [], tolerance: { atol: -1 } }] },
      /atol/,
    ],
    ['an output twice', { ...minimal, outputs: [minimal.outputs[0], minimal.outputs[0]] }, /"output" twice/],
    [
      'a bad shape',
      { ...minimal, outputs: [{ name: 'a', shape: [-1], tolerance: {} }] },
      /an integer from 0/,
    ],
    ['an input without values', { ...minimal, inputs: [{ name: 'x', shape: [1] }] }, /range or "stored"/],
    [
      'an unknown source',
      { ...minimal, parameters: [{ name: 'w', shape: [1], how: 'random' }] },
      /got "random"/,
    ],
    [
      'an alias of nothing',
      { ...minimal, parameters: [{ name: 'w', shape: [1], how: 'alias', of: 'v' }] },
      /no earlier/,
    ],
    ['a broken pattern', { ...minimal, weightGain: { '(': 2 } }, /no regular expression/],
    ['a fractional seed', { ...minimal, seed: 0.5 }, /seed/],
  ])('refuses %s', (_what, value, message) => {
    expect(() => parseCase(value as never)).toThrow(message);
  });

  it('refuses a folder without one', () => {
    expect(() => readCase('/nonexistent')).toThrow(/cannot read case.json/);
  });
});

describe('options of a case', () => {
  it('turns names of the reference into ours', () => {
    expect(['hr_feat', 'content_encoder2_call0', 'border', 'feat2sample'].map(camelCase)).toEqual([
      'hrFeat',
      'contentEncoder2Call0',
      'border',
      'feat2sample',
    ]);
  });

  it('notices options that nobody asked for', () => {
    const config = new Config({ kernel_size: 5, border: 'zeros', odd: 1 });
    expect(config.integer('kernel_size')).toBe(5);
    expect(config.choice('border', ['zeros', 'reflect'])).toBe('zeros');
    expect(() => config.finish()).toThrow(/unknown option "odd"/);
    expect(config.rest()).toEqual({ odd: 1 });
    expect(() => config.finish()).not.toThrow();
  });
});
