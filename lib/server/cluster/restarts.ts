/** Milliseconds after which a worker counts as one that runs. */
const SETTLED = 10_000;
const FIRST_DELAY = 100;
/** Milliseconds between two attempts, at most. */
export const LONGEST_DELAY = 30_000;
/** Workers that may die one after the other before they were ready. */
const PATIENCE = 5;

/** Decides when a worker that died is replaced, and when there is no use in it. */
export class Restarts {
  #early = 0;
  #failed = 0;

  /**
   * Milliseconds until a worker that died is to be replaced: the sooner after its start they die, the longer.
   * `lived` is how long it was ready; undefined where it never was. Undefined where it is time to give up.
   */
  delayAfter(lived: number | undefined): number | undefined {
    this.#failed = lived === undefined ? this.#failed + 1 : 0;
    if (this.#failed >= PATIENCE) return undefined;
    if (lived !== undefined && lived >= SETTLED) this.#early = 0;
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#early);
    this.#early += 1;
    return delay;
  }
}
