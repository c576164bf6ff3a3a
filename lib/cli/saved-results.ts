import { realpathSync } from 'node:fs';
import { extname, relative, sep } from 'node:path';
import { panopticFolder } from '../coco/panoptic-writer';
import type { EvalFlags } from './eval';
import { CliError } from './exit';
import { identityOf } from './files';

/**
 * Refuses, before anything is read or written, --save-results that would replace what is judged against or run: the
 * annotations, the checkpoint, the true PNGs, the images. `truthPngs` is the folder of the true PNGs, of panoptic.
 */
export function guardSavedResults(
  { saveResults, annotations, checkpoint, images, task }: EvalFlags,
  truthPngs?: string,
): void {
  if (saveResults === undefined) return;
  const inputs = { 'the annotations': annotations, 'the checkpoint': checkpoint };
  for (const [what, input] of Object.entries(inputs)) {
    if (input !== undefined && identityOf(input) === identityOf(saveResults)) {
      throw new CliError(`--save-results ${saveResults} would replace ${what}`);
    }
  }
  if (task !== 'panoptic') return;
  if (extname(saveResults).toLowerCase() !== '.json') {
    throw new CliError(`expected a name ending in .json for --save-results, got ${saveResults}`);
  }
  const folder = panopticFolder(saveResults);
  for (const [what, place] of Object.entries({ 'the true PNGs': truthPngs, 'the images': images })) {
    if (place === undefined || !holds(folder, place)) continue;
    throw new CliError(
      `--save-results ${saveResults} puts PNGs into ${folder}, where they could replace ${what} of ${place}`,
    );
  }
}

/** Whether a folder is another one, or has it somewhere inside; links are followed. */
function holds(folder: string, other: string): boolean {
  try {
    const way = relative(realpathSync(folder), realpathSync(other));
    return way !== '..' && !way.startsWith(`..${sep}`);
  } catch {
    // What is not there yet holds nothing.
    return false;
  }
}
