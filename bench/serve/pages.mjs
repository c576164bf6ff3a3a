import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import sharp from 'sharp';
import { PAGES, ROOT } from './places.mjs';

/**
 * The sample pages, each with what the library itself makes of it: the bytes of its label PNG, and the labels. Computed in
 * a process of its own, so that the one that measures holds no network.
 */
export async function samplePages() {
  const names = JSON.parse(readFileSync(join(PAGES, 'index.json'), 'utf8')).map(({ image }) => image);
  const answers = execFileSync(process.execPath, [new URL(import.meta.url).pathname, ...names], {
    cwd: ROOT,
    maxBuffer: 2 ** 28,
    encoding: 'utf8',
  });
  return Promise.all(
    JSON.parse(answers).map(async (png, i) => {
      const expected = Buffer.from(png, 'base64');
      return {
        name: names[i],
        body: readFileSync(join(PAGES, names[i])),
        expected,
        labels: await labelsOf(expected),
      };
    }),
  );
}

/** The stored values of a label PNG. */
export async function labelsOf(png) {
  const { data } = await sharp(png).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  return data;
}

/** The share of pixels with the same label. */
export function agreement(found, expected) {
  if (found.length !== expected.length) return 0;
  let same = 0;
  for (let i = 0; i < found.length; i += 1) if (found[i] === expected[i]) same += 1;
  return same / found.length;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { loadModel } = createRequire(import.meta.url)(
    join(process.env.FREQFUSION_DIST ?? join(ROOT, 'dist')),
  );
  const model = await loadModel();
  const answers = [];
  for (const name of process.argv.slice(2)) {
    const map = await model.segment(join(PAGES, name));
    answers.push((await map.toLabelPng()).toString('base64'));
  }
  process.stdout.write(JSON.stringify(answers));
}
