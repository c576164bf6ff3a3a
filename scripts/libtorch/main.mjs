// `npm run setup`: finds libtorch, or fetches it. Prints the folder on the standard output, everything else on the
// standard error, so that LIBTORCH=$(npm run --silent setup) works.
import { ensureLibtorch } from './ensure.mjs';
import { exitWith } from './errors.mjs';

try {
  const { root } = await ensureLibtorch();
  console.log(root);
} catch (error) {
  exitWith(error);
}
