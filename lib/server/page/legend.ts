import { element, make, swatch } from './elements.js';
import type { DetectedObject, LegendEntry } from './result.js';
import { percent } from './words.js';

/** The list of classes: each one a button that shows or hides it. */
export class Legend {
  readonly #list = element('legend', HTMLUListElement);
  readonly #showAll = element('show-all', HTMLButtonElement);
  readonly #hidden = new Set<number>();
  #entries: readonly LegendEntry[] = [];

  /** `onChange` is called when a class is shown or hidden. */
  constructor(onChange: () => void) {
    this.#list.addEventListener('click', ({ target }) => {
      const button = (target as Element).closest('button');
      if (button === null) return;
      const index = Number(button.dataset.index);
      if (!this.#hidden.delete(index)) this.#hidden.add(index);
      button.setAttribute('aria-pressed', String(!this.#hidden.has(index)));
      this.#nameAll();
      onChange();
    });
    this.#showAll.addEventListener('click', () => {
      const all = this.#allShown();
      this.#hidden.clear();
      if (all) for (const { index } of this.#entries) this.#hidden.add(index);
      for (const button of this.#list.querySelectorAll('button')) {
        button.setAttribute('aria-pressed', String(!all));
      }
      this.#nameAll();
      onChange();
    });
  }

  /** Classes that are not shown. */
  get hidden(): ReadonlySet<number> {
    return this.#hidden;
  }

  /** Shows every class again: another model has others. */
  reset(): void {
    this.#hidden.clear();
  }

  /** Lists classes; `kind` says what their amounts are. */
  show(entries: readonly LegendEntry[], kind: 'share' | 'count'): void {
    this.#entries = entries;
    const whole = kind === 'share' ? 1 : Math.max(1, ...entries.map(({ amount }) => amount));
    this.#list.replaceChildren(
      ...entries.map(({ index, name, color, amount }) => {
        const button = make(
          'button',
          '',
          swatch(color),
          make('span', 'name', name),
          make('span', 'amount', kind === 'share' ? percent(amount) : String(amount)),
        );
        button.type = 'button';
        button.dataset.index = String(index);
        button.setAttribute('aria-pressed', String(!this.#hidden.has(index)));
        const bar = make('i', '');
        bar.style.width = `${(amount / whole) * 100}%`;
        const meter = make('span', 'meter', bar);
        meter.setAttribute('aria-hidden', 'true');
        button.append(meter);
        return make('li', '', button);
      }),
    );
    if (entries.length === 0) this.#list.append(make('li', 'nothing', 'Nothing found.'));
    this.#nameAll();
  }

  #allShown(): boolean {
    return !this.#entries.some(({ index }) => this.#hidden.has(index));
  }

  #nameAll(): void {
    this.#showAll.hidden = this.#entries.length === 0;
    this.#showAll.textContent = this.#allShown() ? 'Hide all' : 'Show all';
  }
}

/** The list of objects: the one under the pointer or with the focus is drawn bolder. */
export class FoundList {
  readonly #card = element('found-card', HTMLElement);
  readonly #list = element('found', HTMLUListElement);

  /** `onLight` is told the object that stands out, in the answer's order. */
  constructor(onLight: (index: number | undefined) => void) {
    const light = ({ target }: Event) => {
      const index = (target as Element).closest('button')?.dataset.index;
      onLight(index === undefined ? undefined : Number(index));
    };
    for (const type of ['pointerover', 'focusin', 'click']) this.#list.addEventListener(type, light);
    for (const type of ['pointerleave', 'focusout']) {
      this.#list.addEventListener(type, () => onLight(undefined));
    }
  }

  /** Lists objects; undefined: the result is no detector's. */
  show(objects: readonly DetectedObject[] | undefined): void {
    this.#card.hidden = objects === undefined;
    this.#list.replaceChildren(
      ...(objects ?? []).map(({ index, className, score, color }) => {
        const button = make(
          'button',
          '',
          swatch(color),
          make('span', 'name', className),
          make('span', 'amount', percent(score)),
        );
        button.type = 'button';
        button.dataset.index = String(index);
        return make('li', '', button);
      }),
    );
    if (objects?.length === 0) this.#list.append(make('li', 'nothing', 'Nothing at this score.'));
  }

  /** Marks the object that the pointer is over in the picture. */
  mark(index: number | undefined): void {
    for (const button of this.#list.querySelectorAll('button')) {
      button.classList.toggle('lit', button.dataset.index === String(index));
    }
  }
}
