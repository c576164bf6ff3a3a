import type { Sample } from './answer.js';
import { element, make } from './elements.js';

/** The strip of bundled pictures. */
export class SampleStrip {
  readonly #section = element('samples', HTMLElement);
  readonly #list = element('sample-list', HTMLUListElement);

  /** Lists pictures; `onChoose` gets the one that was pressed. */
  show(samples: readonly Sample[], onChoose: (sample: Sample) => void): void {
    this.#section.hidden = samples.length === 0;
    this.#list.replaceChildren(
      ...samples.map((sample) => {
        const image = make('img', '');
        image.src = sample.url;
        image.alt = sample.title;
        image.width = sample.width;
        image.height = sample.height;
        const button = make('button', 'sample', image);
        button.type = 'button';
        button.dataset.name = sample.name;
        button.setAttribute('aria-pressed', 'false');
        button.addEventListener('click', () => onChoose(sample));
        return make('li', '', button);
      }),
    );
  }

  /** Marks the picture that is shown; undefined: none of these. */
  mark(name: string | undefined): void {
    for (const button of this.#list.querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(button.dataset.name === name));
    }
  }
}
