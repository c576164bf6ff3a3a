import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { discover } from '../../lib/golden/discover';
import { familyNames } from '../../lib/golden/families';
import { checkManifest } from '../../lib/golden/manifest';
import { verifyCase } from '../../lib/golden/verify';
import { caseNames, editCase, faults, GOLDENS, withCopy } from './family';

const CARAFE = join(GOLDENS, 'carafe', 'zeros_k3_up1_g1');
const RESAMPLE = join(GOLDENS, 'freqfusion', 'zeros_resample');

describe('finding cases', () => {
  it('finds them in a family, a folder of families, and one case', () => {
    expect(discover(CARAFE)).toEqual({ cases: [CARAFE], broken: [], manifests: [] });
    expect(discover(join(GOLDENS, 'carafe')).cases).toHaveLength(caseNames('carafe').length);
    const all = discover(GOLDENS);
    expect(all.cases).toHaveLength(familyNames().reduce((sum, family) => sum + caseNames(family).length, 0));
    expect(all.manifests).toHaveLength(readdirSync(join(GOLDENS, 'manifests')).length);
  });

  it('tells a case that lost its case.json from a folder of something else', () => {
    const folder = mkdtempSync(join(tmpdir(), 'freqfusion-golden-'));
    try {
      mkdirSync(join(folder, 'lost'));
      mkdirSync(join(folder, 'notes'));
      writeFileSync(join(folder, 'notes', 'todo.txt'), '');
      cpSync(join(CARAFE, 'outputs.safetensors'), join(folder, 'lost', 'outputs.safetensors'));
      expect(discover(folder)).toEqual({ cases: [], broken: [join(folder, 'lost')], manifests: [] });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses a folder that is not there', () => {
    expect(() => discover(join(GOLDENS, 'nothing'))).toThrow(/there is no such folder/);
    expect(() => discover(join(CARAFE, 'case.json'))).toThrow(/it is not a folder/);
  });
});

describe('a case that is not understood fails with its reason', () => {
  const edited = async (folder: string, edit: (text: string) => string) => {
    let said = '';
    await withCopy(folder, async (copy) => {
      editCase(copy, edit);
      const result = await verifyCase(copy);
      expect(result.status).toBe('failed');
      said = faults(result).join('\n');
    });
    return said;
  };

  it.each([
    ['broken JSON', (text: string) => text.slice(0, 100), /case.json is not JSON/],
    ['an unknown member', (text: string) => text.replace('"notes"', '"remarks"'), /unknown member "remarks"/],
    ['an unknown family', (text: string) => text.replace('"carafe"', '"carrot"'), /unknown family "carrot"/],
    [
      'an unknown option',
      (text: string) => text.replace('"up"', '"stride": 1, "up"'),
      /unknown option "stride"/,
    ],
    [
      'an option of the wrong type',
      (text: string) => text.replace('"kernel_size": 3', '"kernel_size": "3"'),
      /kernel_size/,
    ],
    [
      'an option that cannot run',
      (text: string) => text.replace('"kernel_size": 3', '"kernel_size": 4'),
      /odd/,
    ],
    [
      'a missing input',
      (text: string) => text.replace('"name": "mask"', '"name": "kernel"'),
      /"mask" is missing/,
    ],
    [
      'an output that nobody makes',
      (text: string) => text.replace('"name": "output"', '"name": "result"'),
      /result: /,
    ],
    ['another seed', (text: string) => text.replace('"seed": 0', '"seed": 1'), /output: /],
    [
      'another border',
      (text: string) => text.replace('"border": "zeros"', '"border": "reflect"'),
      /output: /,
    ],
  ])('%s', async (_what, edit, message) => {
    expect(await edited(CARAFE, edit)).toMatch(message);
  });

  it.each([
    [
      'a parameter of another shape',
      (text: string) => text.replace(/("name": "content_encoder.bias",\s*"shape": \[\s*)25/, '$124'),
      /state dict: entry \d+/,
    ],
    [
      'a parameter that the module has not',
      (text: string) => text.replaceAll('content_encoder.bias', 'content_encoder.offset'),
      /state dict: entry \d+/,
    ],
    [
      'an option that the module has not',
      (text: string) => text.replace('"hr_residual"', '"hr_residuals"'),
      /hrResiduals/,
    ],
  ])('%s', async (_what, edit, message) => {
    expect(await edited(RESAMPLE, edit)).toMatch(message);
  });

  it('a missing outputs.safetensors, and a tensor missing in it', async () => {
    await withCopy(CARAFE, async (copy) => {
      rmSync(join(copy, 'outputs.safetensors'));
      expect((await verifyCase(copy)).error).toMatch(/outputs.safetensors is missing/);
      cpSync(
        join(GOLDENS, 'local_sim', caseNames('local_sim')[0]!, 'outputs.safetensors'),
        join(copy, 'outputs.safetensors'),
      );
      expect(faults(await verifyCase(copy)).join()).toMatch(/outputs.safetensors does not hold it/);
    });
  });

  it('skips an unknown family only where that is allowed', async () => {
    await withCopy(CARAFE, async (copy) => {
      editCase(copy, (text) => text.replace('"carafe"', '"carrot"'));
      expect((await verifyCase(copy, { allowUnknown: true })).status).toBe('skipped');
    });
  });
});

describe('other element types', () => {
  it.each(['float64', 'float16', 'bfloat16'] as const)('%s passes with its own tolerance', async (dtype) => {
    expect(faults(await verifyCase(CARAFE, { dtype }))).toEqual([]);
    expect(faults(await verifyCase(RESAMPLE, { dtype }))).toEqual([]);
  });
});

describe('lists of parameters', () => {
  const LIST = join(GOLDENS, 'manifests', 'segnext_mscan_t_freqfusion.json');

  it.each(readdirSync(join(GOLDENS, 'manifests')))(
    'agree with the model, name for name: %s',
    async (name) => {
      expect(await checkManifest(join(GOLDENS, 'manifests', name))).toMatchObject({ status: 'right' });
    },
  );

  it.each([
    ['a shape', (list: Manifest) => (list.state_dict[3]!.shape = [1])],
    ['the order', (list: Manifest) => list.state_dict.reverse()],
    ['the number of parameters', (list: Manifest) => (list.total_parameters += 1)],
    ['an element type', (list: Manifest) => (list.state_dict[6]!.dtype = 'float32')],
    ['an entry too few', (list: Manifest) => list.state_dict.pop()],
  ])('disagree where %s is changed', async (_what, change) => {
    const folder = mkdtempSync(join(tmpdir(), 'freqfusion-manifest-'));
    try {
      const list = JSON.parse(readFileSync(LIST, 'utf8')) as Manifest;
      change(list);
      const file = join(folder, 'list.json');
      writeFileSync(file, JSON.stringify(list));
      expect((await checkManifest(file)).status).toBe('wrong');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

interface Manifest {
  state_dict: { name: string; shape: number[]; dtype: string }[];
  total_parameters: number;
}
