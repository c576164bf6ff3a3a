// Tests that cannot run here: jest leaves them out, and `npm test` names them.
const { readdirSync } = require('node:fs');
const { join } = require('node:path');
const { missingChromium } = require('./chromium.cjs');

/** Folders of test/ whose tests need a program that may not be there, with what says so. */
const NEEDS = { browser: missingChromium };

const LINUX_ALONE = {
  'test/build/elf.test.ts': 'it reads ELF files (Linux)',
  'test/build/gpu.test.ts': 'scripts/gpu.sh runs on Linux',
};

/** The files of tests that cannot run, each with the reason. */
function notHere(root) {
  const found = process.platform === 'linux' ? {} : { ...LINUX_ALONE };
  for (const [folder, missing] of Object.entries(NEEDS)) {
    const reason = missing();
    if (reason === undefined) continue;
    for (const name of readdirSync(join(root, 'test', folder))) {
      if (name.endsWith('.test.ts')) found[`test/${folder}/${name}`] = reason;
    }
  }
  return found;
}

module.exports = { notHere };
