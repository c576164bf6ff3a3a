import { type Dirent, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { GoldenError } from './error';

/** What lies under the folders that the verifier was given. */
export interface Discovery {
  /** Folders with a case.json, in order of their names. */
  cases: string[];
  /** Folders that hold a case's data but no case.json. */
  broken: string[];
  /** Lists of a model's parameters, *.json in a folder named manifests. */
  manifests: string[];
}

// Deep enough for folders of folders of families; a link back to a folder above ends here.
const DEEPEST = 5;
const CASE_DATA = /^(outputs|inputs|forward)\.safetensors$|^checkpoint\.(pth|pt|pkl|safetensors)$/;

/** Finds the cases under a folder: one case, a family's folder, or a folder of families. Throws GoldenError. */
export function discover(folder: string): Discovery {
  const found: Discovery = { cases: [], broken: [], manifests: [] };
  walk(folder, 0, found);
  return found;
}

function walk(folder: string, depth: number, found: Discovery): void {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'there is no such folder' : code === 'ENOTDIR' ? 'it is not a folder' : `${code}`;
    throw new GoldenError(`cannot read ${folder}: ${why}`, error);
  }
  const names = entries.map(({ name }) => name).sort();
  if (names.includes('case.json')) {
    found.cases.push(folder);
    return;
  }
  if (names.some((name) => CASE_DATA.test(name))) {
    found.broken.push(folder);
    return;
  }
  if (basename(folder) === 'manifests') {
    found.manifests.push(...names.filter((name) => name.endsWith('.json')).map((name) => join(folder, name)));
    return;
  }
  if (depth === DEEPEST) return;
  for (const name of names.filter((each) => !each.startsWith('.'))) {
    const path = join(folder, name);
    if (isFolder(path)) walk(path, depth + 1, found);
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
