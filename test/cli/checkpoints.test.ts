import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GOLDENS } from '../golden/family';
import { cli, inFolder } from './run';

const at = (name: string, file = 'checkpoint.pth') => join(GOLDENS, 'checkpoint', name, file);

describe('freqfusion inspect', () => {
  it('shows format, place, tensors and metadata', async () => {
    const { code, stdout } = await cli(['inspect', at('mmcv_zip')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^format +torch-zip/m);
    expect(stdout).toMatch(/^state dict +state_dict/m);
    expect(stdout).toMatch(/^content_encoder\.weight +float32 +\[25, 8, 3, 3\]/m);
    expect(stdout).toMatch(/CLASSES/);
  });

  it('names the classes that it does not build', async () => {
    const { stdout } = await cli(['inspect', at('mmengine_message_hub')]);
    expect(stdout).toMatch(/^never built .*HistoryBuffer/m);
  });

  it('prints JSON', async () => {
    const summary = JSON.parse((await cli(['inspect', at('mmcv_legacy'), '--json'])).stdout);
    expect(summary).toMatchObject({
      format: 'torch-legacy',
      stateDictAt: ['state_dict'],
      metadata: { meta: { iter: 160000 } },
    });
    expect(summary.tensors).toHaveLength(10);
  });

  it('prints the statistics of one tensor, and the nearest name of one that is not there', async () => {
    const one = await cli(['inspect', at('dtypes_zip'), '--tensor', 'f32_special', '--json']);
    expect(JSON.parse(one.stdout)).toMatchObject({
      dtype: 'float32',
      shape: [4],
      elements: 4,
      notFinite: 1,
      zeros: 1,
    });
    const none = await cli(['inspect', at('mmcv_zip'), '--tensor', 'content_encodr.bias']);
    expect(none.stderr).toMatch(/the nearest is content_encoder\.bias/);
    expect(none.code).toBe(3);
  });

  it('chooses tensors by prefix', async () => {
    const { stdout } = await cli([
      'inspect',
      at('segmentor_prefix'),
      '--prefix',
      'decode_head.freqfusions.0.',
      '--json',
    ]);
    expect(JSON.parse(stdout).tensors[0].name).toBe('hamming_lowpass');
  });

  it.each([
    ['bad_os_system_zip', 'checkpoint.pth', /ERR_CHECKPOINT_CODE/],
    ['bad_html_page', 'checkpoint.pth', /ERR_CHECKPOINT_HTML/],
    ['bad_truncated_pkl', 'checkpoint.pkl', /ERR_CHECKPOINT_TRUNCATED/],
  ])('refuses %s in one line with exit code 3', async (name, file, message) => {
    const { code, stderr } = await cli(['inspect', at(name, file)]);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(message);
    expect(code).toBe(3);
  });

  it('says that a file is missing', async () => {
    const { code, stderr } = await cli(['inspect', 'none.pth']);
    expect(stderr).toMatch(/^error: .*none\.pth/);
    expect(code).toBe(3);
  });
});

describe('freqfusion convert', () => {
  it('writes safetensors that hold the same tensors', async () => {
    await inFolder(async (folder) => {
      const output = join(folder, 'model.safetensors');
      const { code, stdout } = await cli(['convert', at('mmcv_zip'), output]);
      expect(stdout).toMatch(/^wrote .*10 tensors/);
      expect(code).toBe(0);
      const summary = JSON.parse((await cli(['inspect', output, '--json'])).stdout);
      expect(summary.tensors).toHaveLength(10);
      expect(summary.metadata.meta.CLASSES).toEqual(['wall', 'building', 'sky', 'floor']);
    });
  });

  it('takes a part, in another element type', async () => {
    await inFolder(async (folder) => {
      const output = join(folder, 'part.safetensors');
      const args = [
        'convert',
        at('segmentor_prefix'),
        output,
        '--prefix',
        'decode_head.freqfusions.0.',
        '--dtype',
        'float16',
        '--json',
      ];
      const { stdout } = await cli(args);
      expect(JSON.parse(stdout)).toMatchObject({ format: 'torch-zip', tensors: 10 });
      const summary = JSON.parse((await cli(['inspect', output, '--json'])).stdout);
      expect(summary.tensors.every((each: { dtype: string; name: string }) => each.dtype === 'float16')).toBe(
        true,
      );
    });
  });

  it('refuses to write over what it reads, another extension, and a folder that is not there', async () => {
    await inFolder(async (folder) => {
      const own = join(folder, 'own.safetensors');
      copyFileSync(at('safetensors', 'checkpoint.safetensors'), own);
      const before = readFileSync(own);
      expect((await cli(['convert', own, own])).code).toBe(2);
      expect(readFileSync(own).equals(before)).toBe(true);
      expect((await cli(['convert', own, join(folder, 'out.pth')])).code).toBe(2);
      const nowhere = await cli(['convert', own, join(folder, 'none', 'out.safetensors')]);
      expect(nowhere.stderr).toMatch(/its folder does not exist/);
      expect(nowhere.code).toBe(5);
    });
  });

  it('leaves no file behind where the input is refused', async () => {
    await inFolder(async (folder) => {
      const output = join(folder, 'out.safetensors');
      expect((await cli(['convert', at('bad_crc_mismatch'), output])).code).toBe(3);
      expect(existsSync(output)).toBe(false);
    });
  });
});
