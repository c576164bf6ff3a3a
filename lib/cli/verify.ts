import { existsSync, realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { setThreads } from '../device';
import { discover } from '../golden/discover';
import { checkManifest } from '../golden/manifest';
import { type CaseResult, reason, verifyCase } from '../golden/verify';
import { native } from '../native';
import { CliError, EXIT } from './exit';
import { addComputeOptions, type ComputeOptions } from './options';
import { print, printJson, progressBar } from './output';

interface VerifyFlags extends ComputeOptions {
  allowUnknown?: boolean;
  json?: boolean;
  quiet?: boolean;
}

/** The golden cases of a repository checkout; the published package does not carry them. */
const BUNDLED = join(__dirname, '..', '..', 'test', 'goldens');

/** Adds the verb `verify`. */
export function addVerify(program: Command): void {
  const command = program
    .command('verify')
    .description('Run golden cases and compare every output with the reference implementation.')
    .argument(
      '[folders...]',
      "a family's folder, a folder of families, or one case (default: the repository's own)",
    )
    .option('--allow-unknown', 'skip cases of families that are not known instead of failing')
    .option('--json', 'print the results as JSON')
    .option('-q, --quiet', 'print failures and the last line alone');
  addComputeOptions(command)
    .addHelpText(
      'after',
      `
Prints one line per output with its greatest error against what is allowed, and a last line "N passed, N failed".
Exit code 0 where every case passed, 1 where one failed or none was found.

Examples:
  $ freqfusion verify test/goldens
  $ freqfusion verify test/goldens/carafe --quiet
  $ freqfusion verify test/goldens --dtype bfloat16`,
    )
    .action(async (folders: string[], flags: VerifyFlags) => {
      process.exitCode = await verify(folders, flags);
    });
}

async function verify(folders: readonly string[], flags: VerifyFlags): Promise<number> {
  const roots = folders.length > 0 ? folders : [BUNDLED];
  if (folders.length === 0 && !existsSync(BUNDLED)) {
    throw new CliError(
      'no folder of golden cases is given, and this package comes without them. Name one: freqfusion verify DIR',
    );
  }
  native();
  if (flags.threads !== undefined) setThreads(flags.threads);
  const found = collect(roots);
  const report = new Report(flags);
  for (const { folder, error } of found.failures) report.fail(folder, error);
  const bar = progressBar(found.cases.length, {
    enabled: flags.quiet === true || flags.json === true,
    unit: 'cases',
  });
  for (const [index, folder] of found.cases.entries()) {
    report.add(await verifyCase(folder, flags));
    bar.update(index + 1);
  }
  bar.stop();
  for (const file of found.manifests) await report.manifest(file);
  if (found.cases.length + found.failures.length === 0) {
    report.fail(roots.join(', '), 'no case was found: expected folders with a case.json');
  }
  return report.finish();
}

interface Found {
  cases: string[];
  manifests: string[];
  failures: { folder: string; error: string }[];
}

function collect(roots: readonly string[]): Found {
  const found: Found = { cases: [], manifests: [], failures: [] };
  const seen = new Set<string>();
  const fresh = (path: string) => {
    const real = realpathSync(path);
    return seen.has(real) ? false : seen.add(real) !== undefined;
  };
  for (const root of roots) {
    try {
      const { cases, broken, manifests } = discover(root);
      found.cases.push(...cases.filter(fresh));
      found.manifests.push(...manifests.filter(fresh));
      for (const folder of broken.filter(fresh))
        found.failures.push({ folder, error: 'case.json is missing' });
    } catch (error) {
      found.failures.push({ folder: root, error: reason(error) });
    }
  }
  return found;
}

/** Collects results, printing each as it comes. */
class Report {
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  readonly #cases: unknown[] = [];

  constructor(private readonly flags: VerifyFlags) {}

  add(result: CaseResult): void {
    if (result.status === 'passed') this.#passed += 1;
    else if (result.status === 'failed') this.#failed += 1;
    else this.#skipped += 1;
    this.#cases.push(result);
    if (this.flags.json === true) return;
    const name = result.family === '' ? short(result.folder) : `${result.family}/${result.name}`;
    if (result.status === 'skipped') {
      this.#line(true, `skip  ${name}  ${result.error}`);
      return;
    }
    for (const each of result.outputs) {
      const measure = Number.isFinite(each.error)
        ? `error ${tiny(each.error)} of ${tiny(each.allowed)} allowed`
        : 'no number';
      const detail = each.detail === '' ? '' : `  (${each.detail})`;
      this.#line(each.ok, `${mark(each.ok)}  ${name}  ${each.name}  ${measure}${detail}`);
    }
    for (const each of result.checks) {
      this.#line(each.ok, `${mark(each.ok)}  ${name}  ${each.name}  ${each.detail}`.trimEnd());
    }
    if (result.error !== undefined) this.#line(false, `FAIL  ${name}  ${result.error}`);
  }

  /** A folder that could not be run at all. */
  fail(folder: string, error: string): void {
    this.#failed += 1;
    this.#cases.push({ folder, status: 'failed', outputs: [], checks: [], error });
    if (this.flags.json !== true) this.#line(false, `FAIL  ${short(folder)}  ${error}`);
  }

  /** A list of parameters is no case: it is not counted where it fits, but one that does not fit is a failure. */
  async manifest(file: string): Promise<void> {
    const outcome = await checkManifest(file);
    if (outcome.status === 'wrong') this.fail(file, outcome.detail);
    else if (this.flags.json !== true) {
      this.#line(true, `${outcome.status === 'right' ? 'ok  ' : 'skip'}  ${short(file)}  ${outcome.detail}`);
    }
  }

  finish(): number {
    const { flags } = this;
    const summary = `${this.#passed} passed, ${this.#failed} failed`;
    if (flags.json === true) {
      printJson({
        device: flags.device,
        dtype: flags.dtype,
        passed: this.#passed,
        failed: this.#failed,
        skipped: this.#skipped,
        cases: this.#cases,
      });
    } else {
      if (this.#skipped > 0) print(`${this.#skipped} skipped: their families are not known`);
      print(summary);
    }
    return this.#failed === 0 ? EXIT.ok : EXIT.failed;
  }

  #line(ok: boolean, text: string): void {
    if (!ok || this.flags.quiet !== true) print(text);
  }
}

function mark(ok: boolean): string {
  return ok ? 'ok  ' : 'FAIL';
}

function tiny(value: number): string {
  if (value === 0) return '0';
  return Number.isInteger(value) && value < 1e6 ? String(value) : value.toExponential(1);
}

function short(path: string): string {
  const near = relative(process.cwd(), path);
  return near === '' || near.startsWith('..') ? path : near;
}
