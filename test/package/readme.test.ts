import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, run } from './commands';

const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const EXAMPLES = [...README.matchAll(/```js\n([\s\S]*?)```/g)].map(([, text]) => String(text));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-readme-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('the README has an example with each kind of model and one with the parts', () => {
  expect(EXAMPLES).toHaveLength(3);
});

test.each(EXAMPLES.map((text, i) => [i + 1, text] as const))(
  'example %i of the README runs as it stands',
  (_, text) => {
    const written = join(folder, 'overlay.png');
    const script = text.replaceAll("'overlay.png'", JSON.stringify(written));
    const { status, stderr } = run(process.execPath, ['--input-type=module', '-e', script]);
    expect([status, stderr]).toEqual([0, '']);
    expect(existsSync(written)).toBe(text.includes('overlay.png'));
  },
);

test('the verbs that the README shows are those of the command', () => {
  const shown = new Set([...README.matchAll(/^freqfusion (\w+)/gm)].map(([, verb]) => verb));
  const { stdout } = run(process.execPath, [join(ROOT, 'dist/cli/main.js'), '--help']);
  const unknown = [...shown].filter((verb) => !new RegExp(`^  ${verb}\\b`, 'm').test(stdout));
  expect(unknown).toEqual([]);
});
