import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryStats } from '../../lib';
import { type CaseResult, verifyCase } from '../../lib/golden/verify';
import { collectGarbage } from '../collect-garbage';

/** The repository's golden cases. */
export const GOLDENS = join(__dirname, '..', 'goldens');

/** Names of a family's cases. */
export function caseNames(family: string): string[] {
  return readdirSync(join(GOLDENS, family)).sort();
}

/** What is wrong with a result, in lines: empty for a case that passed. */
export function faults(result: CaseResult): string[] {
  return [
    ...(result.error === undefined ? [] : [result.error]),
    ...result.outputs
      .filter(({ ok }) => !ok)
      .map(({ name, detail, error }) => `${name}: ${detail} (error ${error})`),
    ...result.checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`),
  ];
}

/** Runs every case of a family, one test a case, and sees that nothing stays behind. */
export function describeFamily(family: string, spoiled: readonly string[]): void {
  describe(`golden family ${family}`, () => {
    beforeAll(collectGarbage);

    it.each(caseNames(family))('%s', async (name) => {
      const before = memoryStats().liveTensors;
      const result = await verifyCase(join(GOLDENS, family, name));
      expect(faults(result)).toEqual([]);
      expect(result).toMatchObject({ status: 'passed', family, name });
      expect(memoryStats().liveTensors).toBeLessThanOrEqual(before);
    });

    describe.each(spoiled)('fails when one stored number of %s is changed', (name) => {
      it.each(outputNames(join(GOLDENS, family, name)))('in output %s', async (output) => {
        await withCopy(join(GOLDENS, family, name), async (folder) => {
          spoilTensor(join(folder, 'outputs.safetensors'), output);
          const result = await verifyCase(folder);
          expect(result.status).toBe('failed');
          expect(result.outputs.filter(({ ok }) => !ok).map((each) => each.name)).toEqual([output]);
        });
      });
    });
  });
}

/** Works on a copy of a case. */
export async function withCopy(folder: string, work: (copy: string) => Promise<void>): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), 'freqfusion-golden-'));
  const copy = join(parent, 'case');
  cpSync(folder, copy, { recursive: true });
  try {
    await work(copy);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** Rewrites a copy's case.json. */
export function editCase(folder: string, edit: (text: string) => string): void {
  const file = join(folder, 'case.json');
  const text = readFileSync(file, 'utf8');
  const edited = edit(text);
  expect(edited).not.toBe(text);
  writeFileSync(file, edited);
}

function outputNames(folder: string): string[] {
  const { outputs } = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) as {
    outputs: { name: string }[];
  };
  return outputs.map(({ name }) => name);
}

/** Changes the middle element of one tensor of a safetensors file, by a half of itself and a tenth or more. */
export function spoilTensor(file: string, name: string): void {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString('utf8')) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const { dtype, data_offsets: offsets } = header[name]!;
  const size = { F32: 4, F64: 8, I64: 8, U8: 1 }[dtype]!;
  const middle = Math.floor((offsets[1] - offsets[0]) / size / 2);
  const at = 8 + length + offsets[0] + middle * size;
  if (dtype === 'F32') bytes.writeFloatLE(bytes.readFloatLE(at) * 1.5 + 0.1, at);
  else if (dtype === 'F64') bytes.writeDoubleLE(bytes.readDoubleLE(at) * 1.5 + 0.1, at);
  else if (dtype === 'I64') bytes.writeBigInt64LE(bytes.readBigInt64LE(at) + 7n, at);
  else bytes.writeUInt8((bytes.readUInt8(at) + 7) % 256, at);
  writeFileSync(file, bytes);
}
