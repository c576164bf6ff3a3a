/** Collects what every step of `npm test` counted, and prints the table and the last line. */
export class Report {
  #rows = [];

  /** Runs one step, which returns {passed, failed, skipped}; skipped is a list of names with their reasons. */
  async step(name, run) {
    console.log(`\n== ${name}`);
    const since = performance.now();
    let counts;
    try {
      counts = await run();
    } catch (error) {
      console.error(error.stack ?? error);
      counts = { failed: 1 };
    }
    const { passed = 0, failed = 0, skipped = [] } = counts;
    const seconds = (performance.now() - since) / 1000;
    this.#rows.push({ name, passed, failed, skipped, seconds });
    for (const what of skipped) console.log(`not run: ${what}`);
    return failed === 0;
  }

  get failed() {
    return this.#rows.reduce((sum, row) => sum + row.failed, 0);
  }

  /** The table, the names of what did not run, and the line `N passed, N failed`, with `, N skipped` where some were. */
  print() {
    const total = { name: 'all', passed: 0, failed: 0, skipped: [], seconds: 0 };
    for (const row of this.#rows) {
      total.passed += row.passed;
      total.failed += row.failed;
      total.skipped = [...total.skipped, ...row.skipped];
      total.seconds += row.seconds;
    }
    const width = Math.max(...this.#rows.map(({ name }) => name.length));
    const line = (name, ...cells) =>
      console.log(name.padEnd(width) + cells.map((cell) => String(cell).padStart(9)).join(''));
    console.log('');
    line('step', 'passed', 'failed', 'not run', 'seconds');
    for (const { name, passed, failed, skipped, seconds } of [...this.#rows, total]) {
      line(name, passed, failed, skipped.length, seconds.toFixed(1));
    }
    for (const what of total.skipped) console.log(`not run: ${what}`);
    const tail = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
    console.log(`${total.passed} passed, ${total.failed} failed${tail}`);
  }
}

/** One check that passes with exit status 0. */
export function fromStatus(status) {
  return status === 0 ? { passed: 1 } : { failed: 1 };
}

/** The counts of a program whose last line is `N passed, N failed[, N skipped]`, or undefined where it has none. */
export function fromLastLine(output) {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  const match = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line);
  return match === null ? undefined : { passed: Number(match[1]), failed: Number(match[2]) };
}
