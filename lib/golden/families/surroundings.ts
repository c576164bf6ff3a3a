import { readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Check } from '../run';

/** Paths in a text that a hostile file would create if it could: "/tmp/marker", "../../outside". */
const PATHS = /(?:\.\.\/|\/)[\w./-]*\w/g;

/** What lies around a case before its file is read: nothing of it may be different afterwards. */
export class Surroundings {
  readonly #markers: Map<string, number>;
  readonly #folders: Map<string, string>;

  constructor(folder: string, text: string) {
    const markers = (text.match(PATHS) ?? []).flatMap((path) =>
      path.startsWith('/') ? [path] : [path, `${folder}/${path}`],
    );
    this.#markers = new Map(markers.map((path) => [path, changed(path)]));
    this.#folders = new Map([folder, dirname(folder), process.cwd()].map((path) => [path, listing(path)]));
  }

  /** Says whether a marker appeared or a file came into a folder near by. */
  check(): Check {
    for (const [path, before] of this.#markers) {
      if (changed(path) !== before)
        return { name: 'nothing executed', ok: false, detail: `${path} appeared` };
    }
    for (const [path, before] of this.#folders) {
      if (listing(path) !== before)
        return { name: 'nothing executed', ok: false, detail: `the files in ${path} changed` };
    }
    return { name: 'nothing executed', ok: true, detail: '' };
  }
}

/** When a path was last changed; 0 where it is not there. A marker of an earlier, guilty program is no news. */
function changed(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  } catch {
    return 0;
  }
}

function listing(path: string): string {
  try {
    return readdirSync(path).sort().join('\n');
  } catch {
    return '';
  }
}
