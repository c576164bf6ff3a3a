import { element, make, swatch } from './elements.js';
import type { Found } from './result.js';
import { percent } from './words.js';

/** Milliseconds of rest after which a screen reader is told where the probe is. */
const REST = 200;

/** What the probe needs to know of the picture. */
export interface Probed {
  readonly width: number;
  readonly height: number;
  /** What lies under a pixel. */
  at(x: number, y: number): Found | undefined;
  /** Told what the probe stands on. */
  onFound(found: Found | undefined): void;
}

/** A finding in words. */
export function foundText(found: Found | undefined): string {
  if (found === undefined) return 'nothing found here';
  const { name, score, share } = found;
  if (score !== undefined) return `${name}, ${percent(score)} sure`;
  return share === undefined ? name : `${name}, ${percent(share)} of the picture`;
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Reads the picture under the pointer, the finger, or a mark that the arrow keys move. */
export class Probe {
  readonly #stage = element('stage', HTMLDivElement);
  readonly #mark = element('probe', HTMLDivElement);
  readonly #tip = element('tip', HTMLDivElement);
  readonly #spoken = element('spoken', HTMLParagraphElement);
  #target: Probed | undefined;
  /** Of the mark, parts of width and height. */
  #place: { x: number; y: number } = { x: 0.5, y: 0.5 };
  /** Whether a finger is in the way of what would stand below. */
  #above = false;
  #speaking: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    const stage = this.#stage;
    // It is read by keyboard like a control, though it is none.
    stage.tabIndex = 0;
    for (const type of ['pointermove', 'pointerdown'] as const) {
      stage.addEventListener(type, (event) => {
        const { left, top, width, height } = stage.getBoundingClientRect();
        this.#mark.hidden = true;
        this.#above = event.pointerType === 'touch';
        this.#show((event.clientX - left) / width, (event.clientY - top) / height);
      });
    }
    stage.addEventListener('pointerleave', (event) => {
      if (event.pointerType === 'mouse') this.hide();
    });
    stage.addEventListener('keydown', (event) => this.#onKey(event));
    stage.addEventListener('blur', () => this.hide());
  }

  /** Reads this picture from now on; undefined: none. */
  set target(target: Probed | undefined) {
    this.hide();
    this.#place = { x: 0.5, y: 0.5 };
    this.#target = target;
  }

  /** Takes mark and text away. */
  hide(): void {
    this.#mark.hidden = true;
    this.#tip.hidden = true;
    clearTimeout(this.#speaking);
    this.#target?.onFound(undefined);
  }

  #onKey(event: KeyboardEvent): void {
    if (this.#target === undefined) return;
    if (event.key === 'Escape') this.hide();
    const step = STEPS[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#above = false;
    // The first key shows where the mark is.
    if (!this.#mark.hidden) {
      const stride = event.shiftKey ? 0.1 : 0.02;
      const { x, y } = this.#place;
      this.#place = { x: clamp(x + step[0] * stride), y: clamp(y + step[1] * stride) };
    }
    const { x, y } = this.#place;
    this.#mark.hidden = false;
    this.#mark.style.left = `${x * 100}%`;
    this.#mark.style.top = `${y * 100}%`;
    const text = this.#show(x, y);
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => {
      this.#spoken.textContent = text;
    }, REST);
  }

  #show(x: number, y: number): string {
    const target = this.#target;
    if (target === undefined) return '';
    const column = Math.min(target.width - 1, Math.max(0, Math.floor(x * target.width)));
    const row = Math.min(target.height - 1, Math.max(0, Math.floor(y * target.height)));
    const found = target.at(column, row);
    target.onFound(found);
    const text = foundText(found);
    this.#tip.replaceChildren(
      ...(found === undefined ? [] : [swatch(found.color)]),
      make('span', '', `${text.charAt(0).toUpperCase()}${text.slice(1)}`),
    );
    this.#tip.hidden = false;
    this.#move(x, y);
    return `${text}, column ${column}, row ${row}`;
  }

  /** Beside the place that it speaks of, and inside of the stage. */
  #move(x: number, y: number): void {
    const { clientWidth, clientHeight } = this.#stage;
    const { offsetWidth, offsetHeight } = this.#tip;
    const left = x * clientWidth + 18;
    const top = y * clientHeight + (this.#above ? -36 - offsetHeight : 18);
    const fits = (at: number, size: number, room: number) => (at + size <= room ? at : at - size - 36);
    const inside = (at: number, size: number, room: number) => Math.max(0, Math.min(at, room - size));
    const tipLeft = inside(fits(left, offsetWidth, clientWidth), offsetWidth, clientWidth);
    const tipTop = inside(fits(top, offsetHeight, clientHeight), offsetHeight, clientHeight);
    this.#tip.style.transform = `translate(${tipLeft}px, ${tipTop}px)`;
  }
}

function clamp(part: number): number {
  return Math.min(1, Math.max(0, part));
}
