import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Binding } from './binding';
import { LoadError } from './errors';

/** The package's own folder: dist/ and lib/ both lie one level below it. */
const ROOT = join(__dirname, '..');

/**
 * Loads build/Release/freqfusion.node, or the file that FREQFUSION_ADDON names.
 * Throws ERR_ADDON_MISSING or ERR_ADDON_LOAD, saying what to do.
 */
export function loadBinding(): Binding {
  const file = process.env.FREQFUSION_ADDON ?? join(ROOT, 'build', 'Release', 'freqfusion.node');
  if (!existsSync(file)) {
    throw new LoadError(
      'ERR_ADDON_MISSING',
      `the native addon is not built (no ${file}). Build it with "npm run build" in the repository, or with "npm explore freqfusion -- npm run build:native" where freqfusion is a dependency.`,
      { expected: file, actual: 'no such file' },
    );
  }
  // libtorch's OpenMP threads spin for milliseconds between parallel regions by default and take the event loop's core.
  // Some 20 microseconds span the gaps within a forward pass. The runtime reads both once, when it loads.
  if (process.env.OMP_WAIT_POLICY === undefined) {
    process.env.OMP_WAIT_POLICY = 'passive';
    process.env.GOMP_SPINCOUNT ??= '2000';
  }
  try {
    return require(file) as Binding;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError(
      'ERR_ADDON_LOAD',
      `the native addon does not load: ${reason}. If libtorch was moved or updated since the build, run "npm run build:native" again.`,
      { cause: error, expected: 'an addon that loads', actual: reason },
    );
  }
}
