import { cpuNote } from './check.mjs';
import { fetchLibtorch } from './fetch.mjs';
import { findLibtorch } from './find.mjs';

/** Finds libtorch or fetches it, and says what it took and why the places before it were passed over. */
export async function ensureLibtorch({ env = process.env, log = console.error } = {}) {
  const { found, skipped } = await findLibtorch({ env });
  for (const { source, reason } of skipped) log(`  ${source}: ${reason}`);
  const libtorch = found ?? (await fetchLibtorch({ env, log }));
  log(
    `libtorch ${libtorch.version}${libtorch.cuda ? ' (with CUDA)' : ''} from ${libtorch.source}: ${libtorch.root}`,
  );
  const note = cpuNote();
  if (note !== undefined) log(note);
  return libtorch;
}
