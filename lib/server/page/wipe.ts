import { element } from './elements.js';

/** The line between the picture as it was (left) and with the result: a slider, and a handle on the picture. */
export class Wipe {
  readonly #stage = element('stage', HTMLDivElement);
  readonly #handle = element('handle', HTMLDivElement);
  readonly #slider = element('wipe', HTMLInputElement);
  readonly #value = element('wipe-value', HTMLSpanElement);

  constructor() {
    this.#slider.addEventListener('input', () => this.#apply());
    this.#handle.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.#handle.setPointerCapture(event.pointerId);
    });
    this.#handle.addEventListener('pointermove', (event) => {
      event.stopPropagation();
      if (this.#handle.hasPointerCapture(event.pointerId)) this.#drag(event.clientX);
    });
    this.#apply();
  }

  #drag(clientX: number): void {
    const { left, width } = this.#stage.getBoundingClientRect();
    this.#slider.value = String(Math.round(((clientX - left) / width) * 100));
    this.#apply();
  }

  #apply(): void {
    const percent = this.#slider.valueAsNumber;
    const words = percent === 0 ? 'all result' : percent === 100 ? 'all original' : `${percent} % original`;
    this.#stage.style.setProperty('--wipe', `${percent}%`);
    this.#handle.classList.toggle('start', percent < 4);
    this.#handle.classList.toggle('end', percent > 96);
    this.#value.textContent = words;
    this.#slider.setAttribute('aria-valuetext', words);
  }
}
