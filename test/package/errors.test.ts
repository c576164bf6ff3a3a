import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './commands';

/** Codes that stand in quotes, or as the key of a table. */
function codesIn(...paths: string[]): string[] {
  const found = new Set<string>();
  for (const path of paths) {
    const text = readFileSync(join(ROOT, path), 'utf8');
    for (const [, code] of text.matchAll(/(?:['"`]|^\s*)(ERR_[A-Z0-9]+(?:_[A-Z0-9]+)*)(?:['"`]|:)/gm)) {
      found.add(String(code));
    }
  }
  return [...found].sort();
}

function sources(folder: string, pattern: RegExp): string[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => pattern.test(name)).map((name) => join(folder, name));
}

test('docs/errors.md lists every error code that the library can throw, and no other', () => {
  const thrown = codesIn(...sources('lib', /\.ts$/), ...sources('native', /\.(cpp|cc|h)$/));
  expect(codesIn('docs/errors.md').filter((code) => !code.startsWith('ERR_SETUP_'))).toEqual(thrown);
});

test('docs/install.md lists every way in which setup can fail, with its exit status', () => {
  const text = readFileSync(join(ROOT, 'scripts/libtorch/errors.mjs'), 'utf8');
  const statuses = [...text.matchAll(/(ERR_SETUP_[A-Z_]+): (\d+)/g)].map(
    ([, code, exit]) => `| ${exit} | \`${code}\` |`,
  );
  const docs = readFileSync(join(ROOT, 'docs/install.md'), 'utf8');
  expect(statuses.length).toBeGreaterThan(8);
  expect(statuses.filter((row) => !docs.includes(row))).toEqual([]);
});

test('every link between the documents leads to a file', () => {
  const documents = [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'CHANGELOG.md',
    ...sources('docs', /\.md$/),
  ];
  const broken = documents.flatMap((document) => {
    const text = readFileSync(join(ROOT, document), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target]) =>
      String(target),
    );
    const exists = (target: string): boolean => {
      try {
        readdirSync(join(ROOT, document, '..', target, '..'));
        readFileSync(join(ROOT, document, '..', target));
        return true;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EISDIR';
      }
    };
    return links.filter((target) => !exists(target)).map((target) => `${document}: ${target}`);
  });
  expect(broken).toEqual([]);
});
