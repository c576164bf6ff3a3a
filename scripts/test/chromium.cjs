// The browser that test/browser runs in: CHROMIUM, or Debian's chromium.
const { existsSync } = require('node:fs');
const { delimiter, join } = require('node:path');

const NAMES = ['chromium', 'chromium-browser'];

/** The browser's program, or undefined. */
function findChromium() {
  const { CHROMIUM, PATH = '' } = process.env;
  if (CHROMIUM !== undefined) return existsSync(CHROMIUM) ? CHROMIUM : undefined;
  const folders = [...PATH.split(delimiter), '/usr/bin'];
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
}

/** Why test/browser cannot run, or undefined. */
function missingChromium() {
  if (findChromium() !== undefined) return undefined;
  const got = process.env.CHROMIUM === undefined ? 'none' : 'no such file';
  return `expected chromium on PATH (CHROMIUM, or apt-get install chromium), got ${got}`;
}

module.exports = { findChromium, missingChromium };
