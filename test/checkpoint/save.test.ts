import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { saveSafetensors } from '../../lib/checkpoint/save';
import { StateDict } from '../../lib/checkpoint/state-dict';

const GOLDENS = join(__dirname, '..', 'goldens', 'checkpoint');
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-save-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const golden = (name: string, file = 'checkpoint.pth') =>
  Checkpoint.fromBytes(readFileSync(join(GOLDENS, name, file)), { name });
const reopened = (path: string) => Checkpoint.fromBytes(readFileSync(path), { name: path });
const contents = (checkpoint: Checkpoint) =>
  new Map(
    Array.from(checkpoint.stateDict({ raw: true }), ({ name, dtype, shape }) => [
      name,
      {
        dtype,
        shape,
        bytes: Buffer.from(checkpoint.stateDict({ raw: true }).get(name)!.bytes()).toString('hex'),
      },
    ]),
  );

test.each([
  ['mmcv_zip', 'checkpoint.pth'],
  ['mmcv_legacy', 'checkpoint.pth'],
  ['views_zip', 'checkpoint.pth'],
  ['views_legacy', 'checkpoint.pth'],
  ['dtypes_zip', 'checkpoint.pth'],
  ['zip_big_endian', 'checkpoint.pth'],
  ['zip_deflated', 'checkpoint.pth'],
  ['module_prefix', 'checkpoint.pth'],
  ['numpy_arrays_p2', 'checkpoint.pkl'],
  ['numpy_arrays_p5', 'checkpoint.pkl'],
  ['caffe2_py2_pkl', 'checkpoint.pkl'],
  ['safetensors_dtypes', 'checkpoint.safetensors'],
])('%s: the safetensors file holds the same tensors under the same names', async (name, file) => {
  const path = join(folder, 'out.safetensors');
  const checkpoint = golden(name, file);
  const written = await checkpoint.save(path);
  expect(written).toBe(readFileSync(path).length);
  const back = reopened(path);
  expect(back.format).toBe('safetensors');
  expect(contents(back)).toEqual(contents(checkpoint));
});

test('metadata of the model survives, training state is left behind', async () => {
  const path = join(folder, 'out.safetensors');
  const checkpoint = golden('mmcv_zip');
  await checkpoint.save(path, { metadata: { note: 'converted' } });
  const back = reopened(path);
  expect(back.metadata).toMatchObject({ format: 'pt', note: 'converted', meta: checkpoint.metadata.meta });
  expect(back.metadata).not.toHaveProperty('optimizer');
  const again = join(folder, 'again.safetensors');
  await back.save(again);
  expect(readFileSync(again)).not.toHaveLength(0);
  expect(reopened(again).metadata).toEqual(back.metadata);
});

test('options choose and rename', async () => {
  const path = join(folder, 'out.safetensors');
  await golden('segmentor_prefix').save(path, { prefix: 'decode_head.freqfusions.0.' });
  expect(reopened(path).stateDict().has('content_encoder.bias')).toBe(true);
  await golden('state_dict_ema').save(path, { ema: true });
  expect(reopened(path).stateDict().get('content_encoder.bias')!.bytes()).toEqual(
    golden('state_dict_ema').stateDict({ ema: true }).get('content_encoder.bias')!.bytes(),
  );
  await golden('module_prefix').save(path, { raw: false });
  expect(reopened(path).names()).toContain('hamming_lowpass');
});

test('data begin at a multiple of eight, and wide elements come first', async () => {
  const path = join(folder, 'out.safetensors');
  await golden('dtypes_zip').save(path);
  const bytes = readFileSync(path);
  expect(Number(bytes.readBigUInt64LE(0)) % 8).toBe(0);
  const widths: Record<string, number> = {
    int64: 8,
    float64: 8,
    float32: 4,
    int32: 4,
    float16: 2,
    bfloat16: 2,
    int16: 2,
  };
  const order = [...reopened(path).stateDict()].map(({ dtype }) => widths[dtype] ?? 1);
  expect(order).toEqual([...order].sort((a, b) => b - a));
});

test('a file that cannot be finished leaves nothing behind', async () => {
  const path = join(folder, 'out.safetensors');
  writeFileSync(path, 'what was there');
  const good = golden('plain_state_dict_zip').stateDict();
  const broken = new StateDict(
    Array.from(good, ({ name, dtype, shape }) => ({
      ...{ name, dtype, shape, tensor: () => good.get(name)!.tensor() },
      bytes: () => {
        if (name.endsWith('bias')) throw new Error('no more');
        return good.get(name)!.bytes();
      },
    })),
  );
  await expect(saveSafetensors(path, broken)).rejects.toThrow('no more');
  expect(readdirSync(folder)).toEqual(['out.safetensors']);
  expect(readFileSync(path, 'utf8')).toBe('what was there');
});

test('wrong options are refused before a file is made', async () => {
  const path = join(folder, 'out.safetensors');
  const checkpoint = golden('plain_state_dict_zip');
  await expect(checkpoint.save(path, { dtype: 'int64' as never })).rejects.toMatchObject({
    code: 'ERR_DTYPE',
  });
  await expect(checkpoint.save(path, { metadata: { epoch: 3 as never } })).rejects.toMatchObject({
    code: 'ERR_TYPE',
  });
  await expect(checkpoint.save(join(folder, 'none', 'x.safetensors'))).rejects.toMatchObject({
    code: 'ENOENT',
  });
  expect(readdirSync(folder)).toEqual([]);
});

test('floating-point tensors can be converted', async () => {
  const path = join(folder, 'out.safetensors');
  await golden('dtypes_zip').save(path, { dtype: 'bfloat16' });
  const back = reopened(path).stateDict();
  expect(back.get('f32')!.dtype).toBe('bfloat16');
  expect(back.get('f64')!.dtype).toBe('bfloat16');
  expect(back.get('i64')!.dtype).toBe('int64');
  expect(back.get('bf16')!.bytes()).toEqual(golden('dtypes_zip').stateDict().get('bf16')!.bytes());
});
