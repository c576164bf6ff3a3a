// The C++ half of `npm run format`.
import { fileURLToPath } from 'node:url';
import { clangFormat } from './test/clang-format.mjs';

const { failed, skipped } = await clangFormat(fileURLToPath(new URL('..', import.meta.url)), true);
for (const reason of skipped ?? []) console.error(reason);
process.exitCode = failed || skipped ? 1 : 0;
