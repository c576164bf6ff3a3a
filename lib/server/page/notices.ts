import { element, make } from './elements.js';
import type { Problem } from './problem.js';

/** What the page says of itself: one line of state, and an alert where something went wrong. */
export class Notices {
  readonly #status = element('status', HTMLParagraphElement);
  readonly #busy = element('busy', HTMLDivElement);
  readonly #cancel = element('cancel', HTMLButtonElement);
  readonly #alert = element('alert', HTMLDivElement);
  readonly #actions = element('alert-actions', HTMLDivElement);
  readonly #retry = element('retry', HTMLButtonElement);
  readonly #dismiss = element('dismiss', HTMLButtonElement);
  #again: (() => void) | undefined;
  #counting: ReturnType<typeof setInterval> | undefined;

  /** `onCancel`: the person wants to wait no longer. */
  constructor(onCancel: () => void) {
    this.#cancel.addEventListener('click', onCancel);
    this.#dismiss.addEventListener('click', () => this.clear());
    this.#retry.addEventListener('click', () => {
      const again = this.#again;
      this.clear();
      again?.();
    });
  }

  /** Says what is going on; `busy`: it still is. */
  say(text: string, busy = false): void {
    this.#status.textContent = text;
    this.#busy.hidden = !busy;
    this.#cancel.hidden = !busy;
  }

  /** Says that something went wrong; `again` is what the retry button does. */
  warn({ title, detail, retry, wait }: Problem, again?: () => void): void {
    this.clear();
    this.#alert.append(make('strong', '', title), make('span', '', detail));
    this.#actions.hidden = false;
    this.#again = again;
    this.#retry.hidden = !retry || again === undefined;
    if (!this.#retry.hidden) this.#countDown(wait);
    this.#alert.scrollIntoView({ block: 'nearest' });
  }

  /** Takes the alert away. */
  clear(): void {
    clearInterval(this.#counting);
    this.#alert.replaceChildren();
    this.#actions.hidden = true;
    this.#again = undefined;
  }

  #countDown(seconds: number): void {
    let left = seconds;
    const tick = () => {
      this.#retry.disabled = left > 0;
      this.#retry.textContent = left > 0 ? `Try again in ${left} s` : 'Try again';
      if (left <= 0) clearInterval(this.#counting);
      left -= 1;
    };
    this.#counting = setInterval(tick, 1000);
    tick();
  }
}
