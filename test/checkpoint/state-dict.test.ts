import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import type { StateDict } from '../../lib/checkpoint/state-dict';
import {
  archive,
  call,
  dict,
  float,
  global,
  int,
  list,
  NONE,
  object,
  type Part,
  tensor,
  text,
} from './pickle-writer';

const GOLDENS = join(__dirname, '..', 'goldens', 'checkpoint');
const golden = (name: string) =>
  Checkpoint.fromBytes(readFileSync(join(GOLDENS, name, 'checkpoint.pth')), { name });
const opened = (value: Part) =>
  Checkpoint.fromBytes(archive(value, { 0: Buffer.alloc(64, 0), 1: Buffer.alloc(64, 1) }));
const firstByte = (state: StateDict, name: string) => state.get(name)!.bytes()[0];

function errorOf(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('nothing was thrown');
}

describe('where the state dict is', () => {
  test.each([
    [['state_dict'], dict(text('rng'), tensor([4]), text('state_dict'), dict(text('w'), tensor()))],
    [['model', 'backbone'], dict(text('model'), dict(text('backbone'), dict(text('w'), tensor())))],
    [['student'], dict(text('epoch'), int(3), text('student'), dict(text('w'), tensor()))],
    [[], dict(text('w'), tensor(), text('steps'), int(3))],
    [
      ['model'],
      dict(text('optimizer'), dict(text('m'), tensor([4])), text('model'), dict(text('w'), tensor())),
    ],
  ])('at %j', (at, value) => {
    const checkpoint = opened(value);
    expect(checkpoint.stateDictAt).toEqual(at);
    expect(checkpoint.names()).toEqual(['w']);
  });

  test('several places: the error lists them, and at chooses', () => {
    const checkpoint = opened(
      dict(text('G'), dict(text('a'), tensor()), text('D'), dict(text('b.c'), dict(text('d'), tensor()))),
    );
    expect(errorOf(() => checkpoint.stateDict())).toMatchObject({
      code: 'ERR_CHECKPOINT_AMBIGUOUS',
      message: expect.stringContaining('"G", "D.b.c"'),
    });
    expect(checkpoint.inspect().candidates).toEqual([['G'], ['D', 'b.c']]);
    expect(checkpoint.stateDict({ at: 'G' }).names()).toEqual(['a']);
    expect(checkpoint.stateDict({ at: 'D.b.c' }).names()).toEqual(['d']);
    expect(checkpoint.stateDict({ at: ['D', 'b.c'] }).names()).toEqual(['d']);
    expect(errorOf(() => checkpoint.stateDict({ at: 'X' })).code).toBe('ERR_CHECKPOINT_AT');
  });

  test('values that are no tensors are listed, not loaded', () => {
    const state = opened(
      dict(text('w'), tensor(), text('version'), int(2), text('a._extra_state'), object('x', 'Y')),
    ).stateDict();
    expect(state.names()).toEqual(['w']);
    expect(state.ignored).toEqual(['version', 'a._extra_state']);
  });

  test('an object of an unknown class outside the state dict is a placeholder', () => {
    const checkpoint = opened(
      dict(
        text('state_dict'),
        dict(text('w'), tensor()),
        text('args'),
        object('argparse', 'Namespace'),
        text('x'),
        object('p.q', 'R'),
      ),
    );
    expect(checkpoint.metadata).toEqual({ args: { class: 'argparse.Namespace' }, x: { class: 'p.q.R' } });
    expect(checkpoint.inspect().opaqueClasses).toEqual(['argparse.Namespace', 'p.q.R']);
  });

  test('a model pickled whole under a key is named', () => {
    expect(
      errorOf(() => opened(dict(text('epoch'), int(1), text('model'), object('models.seg', 'Net')))),
    ).toMatchObject({
      code: 'ERR_CHECKPOINT_WHOLE_MODEL',
      message: expect.stringMatching(/its key "model".*"models\.seg\.Net"/),
    });
  });
});

describe('prefixes', () => {
  test('module. goes where every name has it', () => {
    const checkpoint = golden('module_prefix');
    expect(checkpoint.names()[0]).toBe('module.hamming_lowpass');
    expect(checkpoint.stateDict().names()[0]).toBe('hamming_lowpass');
    const mixed = opened(dict(text('module.a'), tensor(), text('b'), tensor()));
    expect(mixed.stateDict().names()).toEqual(['module.a', 'b']);
  });

  test('prefix chooses a part and takes the prefix off', () => {
    const checkpoint = golden('segmentor_prefix');
    const part = checkpoint.stateDict({ prefix: 'decode_head.freqfusions.0.' });
    expect(part.names()[0]).toBe('hamming_lowpass');
    expect(part.get('content_encoder.bias')!.shape).toEqual([25]);
    expect(part.withPrefix('content_').names()).toContain('encoder.bias');
    expect(part.withPrefix('none.').size).toBe(0);
    expect(errorOf(() => checkpoint.stateDict({ prefix: 'neck.' }))).toMatchObject({
      code: 'ERR_CHECKPOINT_PREFIX',
      message: expect.stringContaining('decode_head.freqfusions.0.hamming_lowpass'),
    });
  });
});

describe('averaged weights', () => {
  test('timm keeps them under a key of their own', () => {
    const checkpoint = golden('state_dict_ema');
    const [plain, averaged] = [checkpoint.stateDict(), checkpoint.stateDict({ ema: true })];
    expect(averaged.names()).toEqual(plain.names());
    expect(averaged.get('content_encoder.bias')!.bytes()).not.toEqual(
      plain.get('content_encoder.bias')!.bytes(),
    );
    expect(checkpoint.stateDict({ ema: false }).get('content_encoder.bias')!.bytes()).toEqual(
      plain.get('content_encoder.bias')!.bytes(),
    );
  });

  test("mmcv's plain names hold the average, its ema_ shadows the trained weights", () => {
    const checkpoint = golden('ema_prefix');
    const shadow = checkpoint.stateDict({ raw: true }).get('ema_content_encoder_bias')!.bytes();
    expect(checkpoint.names()).toHaveLength(18);
    expect(checkpoint.stateDict().names()).toHaveLength(10);
    expect(checkpoint.stateDict({ ema: true }).get('content_encoder.bias')!.bytes()).not.toEqual(shadow);
    expect(checkpoint.stateDict({ ema: false }).get('content_encoder.bias')!.bytes()).toEqual(shadow);
    expect(checkpoint.stateDict({ ema: false }).names()).toEqual(checkpoint.stateDict().names());
  });

  test('mmengine swaps the two dictionaries before it saves', () => {
    const checkpoint = opened(
      dict(
        ...[
          text('message_hub'),
          dict(text('epoch'), int(1)),
          text('state_dict'),
          dict(text('w'), tensor([16], '0')),
        ],
        ...[
          text('ema_state_dict'),
          dict(text('steps'), tensor([1], '1'), text('module.w'), tensor([16], '1')),
        ],
      ),
    );
    expect(firstByte(checkpoint.stateDict(), 'w')).toBe(0);
    expect(firstByte(checkpoint.stateDict({ ema: true }), 'w')).toBe(0);
    expect(firstByte(checkpoint.stateDict({ ema: false }), 'w')).toBe(1);
    expect(checkpoint.stateDict({ ema: false }).names()).toEqual(['w']);
  });

  test('a file without them says so', () => {
    expect(errorOf(() => golden('plain_state_dict_zip').stateDict({ ema: true })).code).toBe(
      'ERR_CHECKPOINT_NO_EMA',
    );
  });
});

describe('metadata', () => {
  test('values of every kind become plain ones', () => {
    const checkpoint = golden('torch_size_dtype_device');
    expect(checkpoint.metadata).toMatchObject({
      shape: [1, 2],
      dtype: 'torch.float16',
      device: 'cpu',
      s: new Set([1, 2]),
      c: { real: 1, imag: 2 },
      big: 2n ** 70n,
      neg: -5,
      f: 1e300,
      none: null,
      when: { class: 'datetime.datetime' },
    });
    expect(Buffer.from(checkpoint.metadata.b as Uint8Array).toString()).toBe('bytes');
    expect(Buffer.from(checkpoint.metadata.ba as Uint8Array).toString()).toBe('xy');
    expect(checkpoint.metadata).not.toHaveProperty('state_dict');
  });

  test('tensors elsewhere are shown in summary, keys that are no texts in a Map', () => {
    const checkpoint = opened(
      dict(
        text('state_dict'),
        dict(text('w'), tensor()),
        text('optimizer'),
        dict(int(0), tensor([4]), int(1), NONE),
      ),
    );
    expect(checkpoint.metadata.optimizer).toEqual(
      new Map<unknown, unknown>([
        [0, { dtype: 'float32', shape: [4] }],
        [1, null],
      ]),
    );
    expect(checkpoint.names()).toEqual(['w']);
  });

  test('a key named __proto__ stays a key', () => {
    const checkpoint = opened(dict(text('w'), tensor(), text('__proto__'), dict(text('polluted'), int(1))));
    expect(Object.keys(checkpoint.metadata)).toContain('__proto__');
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('floats and nested lists', () => {
    const checkpoint = opened(dict(text('w'), tensor(), text('lr'), list(float(0.5), list(int(1)))));
    expect(checkpoint.metadata).toEqual({ lr: [0.5, [1]] });
  });
});

describe('code is refused, wherever it stands', () => {
  test.each([
    ['os', 'system'],
    ['posix', 'system'],
    ['subprocess', 'Popen'],
    ['builtins', 'eval'],
    ['__builtin__', 'getattr'],
    ['importlib', 'import_module'],
    ['webbrowser', 'open'],
    ['pickle', 'loads'],
    ['torch', 'os.system'],
    ['project', 'Net.__init__.__globals__'],
    ['typing', 'sys'],
  ])('naming %s.%s', (module, name) => {
    const value = dict(text('w'), tensor(), text('x'), global(module, name));
    expect(errorOf(() => opened(value)).code).toBe('ERR_CHECKPOINT_CODE_GLOBAL');
  });

  test.each([
    ['torch', 'load'],
    ['torch.hub', 'load'],
    ['numpy', 'load'],
    ['project.tools', 'build'],
  ])('calling %s.%s', (module, name) => {
    const value = dict(text('w'), tensor(), text('x'), call(global(module, name), text('y')));
    expect(errorOf(() => opened(value)).code).toBe('ERR_CHECKPOINT_CODE_CALL');
    const named = dict(text('state_dict'), dict(text('w'), tensor()), text('x'), global(module, name));
    expect(opened(named).metadata).toEqual({ x: { class: `${module}.${name}` } });
  });
});

test('wrong options are argument errors', () => {
  const checkpoint = opened(dict(text('w'), tensor()));
  expect(errorOf(() => checkpoint.stateDict({ at: 3 as never })).code).toBe('ERR_TYPE');
  expect(errorOf(() => checkpoint.stateDict({ prefix: 3 as never })).code).toBe('ERR_TYPE');
  expect(errorOf(() => checkpoint.stateDict({ ema: 'yes' as never })).code).toBe('ERR_TYPE');
  expect(errorOf(() => checkpoint.stateDict({ at: 'w', ema: true })).code).toBe('ERR_CHECKPOINT_AT');
  expect(errorOf(() => Checkpoint.fromBytes('text' as never)).code).toBe('ERR_TYPE');
});

test('after close() nothing is read any more', () => {
  const checkpoint = opened(dict(text('w'), tensor()));
  const entry = checkpoint.stateDict().get('w')!;
  checkpoint.close();
  expect(errorOf(() => checkpoint.stateDict()).code).toBe('ERR_CHECKPOINT_CLOSED');
  expect(errorOf(() => entry.bytes()).code).toBe('ERR_CHECKPOINT_CLOSED');
});
