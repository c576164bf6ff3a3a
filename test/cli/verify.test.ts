import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { editCase, GOLDENS, spoilTensor } from '../golden/family';
import { cli, inFolder } from './run';

const CASES = ['cos_k3_d1', 'dot_k3_d1'];

/** Two small cases of one family in a folder. */
function makeFamily(folder: string): string {
  const family = join(folder, 'local_sim');
  for (const name of CASES) cpSync(join(GOLDENS, 'local_sim', name), join(family, name), { recursive: true });
  return family;
}

describe('freqfusion verify', () => {
  it('passes a family, a folder of families and one case', async () => {
    await inFolder(async (folder) => {
      const family = makeFamily(folder);
      for (const [path, count] of [
        [family, 2],
        [folder, 2],
        [join(family, CASES[0]!), 1],
      ] as const) {
        const { code, lines } = await cli(['verify', path]);
        expect(lines.at(-1)).toBe(`${count} passed, 0 failed`);
        expect(lines).toHaveLength(count + 1);
        expect(lines[0]).toMatch(/^ok {4}local_sim\/cos_k3_d1 {2}similarity {2}error \S+ of \S+ allowed$/);
        expect(code).toBe(0);
      }
    });
  });

  it('takes several folders and runs each case once', async () => {
    await inFolder(async (folder) => {
      const family = makeFamily(folder);
      const { lines } = await cli(['verify', family, folder, join(family, CASES[1]!)]);
      expect(lines.at(-1)).toBe('2 passed, 0 failed');
    });
  });

  it('fails, and says where, when one stored number is changed', async () => {
    await inFolder(async (folder) => {
      const family = makeFamily(folder);
      spoilTensor(join(family, CASES[0]!, 'outputs.safetensors'), 'similarity');
      const { code, lines } = await cli(['verify', '--quiet', family]);
      expect(lines).toHaveLength(2);
      expect(lines[0]).toMatch(/^FAIL {2}local_sim\/cos_k3_d1 {2}similarity .*1 of \d+ elements differ/);
      expect(lines[1]).toBe('1 passed, 1 failed');
      expect(code).toBe(1);
    });
  });

  it('fails an unknown family unless told otherwise', async () => {
    await inFolder(async (folder) => {
      const family = makeFamily(folder);
      editCase(join(family, CASES[0]!), (text) => text.replace('"local_sim"', '"global_sim"'));
      const strict = await cli(['verify', family]);
      expect(strict.code).toBe(1);
      expect(strict.lines.at(-1)).toBe('1 passed, 1 failed');
      expect(strict.stdout).toContain('unknown family "global_sim"');
      const lenient = await cli(['verify', '--allow-unknown', family]);
      expect(lenient.code).toBe(0);
      expect(lenient.lines.at(-1)).toBe('1 passed, 0 failed');
      expect(lenient.stdout).toMatch(/skip {2}.*global_sim/);
    });
  });

  it('fails where there is nothing to verify, or nothing at all', async () => {
    await inFolder(async (folder) => {
      mkdirSync(join(folder, 'empty'));
      for (const path of [join(folder, 'empty'), join(folder, 'none')]) {
        const { code, lines } = await cli(['verify', path]);
        expect(lines.at(-1)).toBe('0 passed, 1 failed');
        expect(code).toBe(1);
      }
    });
  });

  it('fails a broken case without losing the others', async () => {
    await inFolder(async (folder) => {
      const family = makeFamily(folder);
      writeFileSync(join(family, CASES[0]!, 'case.json'), '{"family": ');
      const { code, lines } = await cli(['verify', family]);
      expect(lines.at(-1)).toBe('1 passed, 1 failed');
      expect(code).toBe(1);
    });
  });

  it('prints one JSON document with --json', async () => {
    await inFolder(async (folder) => {
      const { code, stdout } = await cli(['verify', '--json', makeFamily(folder), '--dtype', 'float64']);
      expect(JSON.parse(stdout)).toMatchObject({
        device: 'cpu',
        dtype: 'float64',
        passed: 2,
        failed: 0,
        cases: [
          {
            family: 'local_sim',
            name: 'cos_k3_d1',
            status: 'passed',
            outputs: [{ name: 'similarity', ok: true }],
          },
          {},
        ],
      });
      expect(code).toBe(0);
    });
  });

  it('checks lists of parameters without counting them as cases', async () => {
    const { lines, code } = await cli([
      'verify',
      join(GOLDENS, 'manifests'),
      join(GOLDENS, 'local_sim', CASES[0]!),
    ]);
    expect(
      lines.some((line) =>
        /^ok .*segnext_mscan_t_freqfusion\.json {2}596 entries, 4520794 parameters/.test(line),
      ),
    ).toBe(true);
    expect(lines.at(-1)).toBe('1 passed, 0 failed');
    expect(code).toBe(0);
  });
});
