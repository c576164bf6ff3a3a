/** Refusals in one second that are answered at once. */
const AT_ONCE = 64;
/** Milliseconds that further ones are held: as long as the shortest Retry-After asks for. */
const HOLD = 1000;

/**
 * Slows down clients that ask again as soon as they are refused: a crowd of them takes more of the server than its
 * work, while one that waits as it is told never notices.
 */
export class Rejections {
  readonly #clock: () => number;
  #second = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Counts a refusal: the milliseconds after which it is to be answered. */
  add(): number {
    const now = this.#clock();
    if (now - this.#second >= 1000) {
      this.#second = now;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count > AT_ONCE ? HOLD : 0;
  }
}
