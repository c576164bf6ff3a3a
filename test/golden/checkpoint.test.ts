import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyCase } from '../../lib/golden/verify';
import { caseNames, editCase, faults, GOLDENS, spoilTensor, withCopy } from './family';

const FAMILY = join(GOLDENS, 'checkpoint');
const at = (name: string) => join(FAMILY, name);

describe('golden family checkpoint', () => {
  it.each(caseNames('checkpoint'))('%s', async (name) => {
    const result = await verifyCase(at(name));
    expect(faults(result)).toEqual([]);
    expect(result.status).toBe('passed');
  });

  it('leaves no marker of executed code', () => {
    expect(existsSync(join(tmpdir(), 'ff_checkpoint_code_was_executed'))).toBe(false);
  });
});

describe('the checkpoint family fails when an expectation is changed', () => {
  const spoiled = async (name: string, edit: (text: string) => string) => {
    let lines: string[] = [];
    await withCopy(at(name), async (folder) => {
      editCase(folder, edit);
      const result = await verifyCase(folder);
      expect(result.status).toBe('failed');
      lines = faults(result);
    });
    return lines.join('\n');
  };

  it('a hash of a tensor', async () => {
    const said = await spoiled('mmcv_zip', (text) => text.replace(/("sha256": ")[0-9a-f]{8}/, '$100000000'));
    expect(said).toMatch(/the bytes differ/);
  });

  it('a first value', async () => {
    const said = await spoiled('dtypes_zip', (text) =>
      text.replace('-9223372036854775808', '-9223372036854775807'),
    );
    expect(said).toMatch(/i64: first values/);
  });

  it('a member of the metadata', async () => {
    expect(await spoiled('mmcv_zip', (text) => text.replace('"iter": 160000', '"iter": 160001'))).toMatch(
      /meta: iter/,
    );
    expect(await spoiled('mmcv_legacy', (text) => text.replace('"sky"', '"sea"'))).toMatch(/meta: CLASSES/);
  });

  it('the container', async () => {
    expect(await spoiled('protocol5', (text) => text.replace('torch-zip', 'torch-legacy'))).toMatch(
      /container/,
    );
  });

  it('the place of the state dict', async () => {
    const said = await spoiled('defaultdict_and_nested', (text) => text.replace('"backbone"', '"neck"'));
    expect(said).toMatch(/ERR_CHECKPOINT_AT|neck/);
  });

  it('the category of a refusal', async () => {
    const said = await spoiled('bad_os_system_zip', (text) =>
      text.replace('"category": "code"', '"category": "zip"'),
    );
    expect(said).toMatch(/expected category zip, got code/);
  });

  it('a refusal where the file is sound, and the other way round', async () => {
    const refuse = (text: string) =>
      JSON.stringify({
        ...JSON.parse(text),
        outputs: [],
        expect: { ok: false, category: 'code', why: 'test' },
      });
    expect(await spoiled('control_hand_made', refuse)).toMatch(/accepted, 1 tensors; expected a refusal/);
    const accept = (text: string) =>
      JSON.stringify({ ...JSON.parse(text), expect: { ok: true, state_dict_at: [], tensors: {} } });
    expect(await spoiled('bad_builtins_eval', accept)).toMatch(/reading: refused/);
  });

  it('the file itself', async () => {
    await withCopy(at('control_hand_made'), async (folder) => {
      editCase(folder, (text) => text.replace(/("file_sha256": ")[0-9a-f]{8}/, '$100000000'));
      expect(faults(await verifyCase(folder)).join()).toMatch(/not the one that case.json describes/);
    });
  });

  it('a stored number, of the tensors and of the forward', async () => {
    await withCopy(at('mmcv_zip'), async (folder) => {
      spoilTensor(join(folder, 'outputs.safetensors'), 'content_encoder.weight');
      expect(faults(await verifyCase(folder)).join()).toMatch(/^content_encoder.weight/);
    });
    await withCopy(at('mmcv_zip'), async (folder) => {
      spoilTensor(join(folder, 'forward.safetensors'), 'reflect_hr_feat');
      expect(faults(await verifyCase(folder)).join()).toMatch(/^forward: reflect_hr_feat/);
    });
  });

  it('a marker that appears while the file is read', async () => {
    await withCopy(at('control_hand_made'), async (folder) => {
      const marker = join(folder, '..', 'marker');
      editCase(folder, (text) => text.replace(/"what": "[^"]*"/, `"what": "must not write ${marker}"`));
      const running = verifyCase(folder);
      writeFileSync(marker, '');
      expect(faults(await running).join()).toMatch(/marker appeared|files in .* changed/);
    });
  });
});
