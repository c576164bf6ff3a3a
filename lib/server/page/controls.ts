import { element } from './elements.js';

/** A slider in per cent with its value beside it. */
export class PercentSlider {
  readonly #input: HTMLInputElement;
  readonly #said: HTMLSpanElement;

  /** `id` is the slider's; its value stands in the element `id`-value. `onChange` gets 0 to 1. */
  constructor(id: string, onChange: (part: number) => void) {
    this.#input = element(id, HTMLInputElement);
    this.#said = element(`${id}-value`, HTMLSpanElement);
    this.#input.addEventListener('input', () => {
      this.#tell();
      onChange(this.value);
    });
    this.#tell();
  }

  /** 0 to 1. */
  get value(): number {
    return this.#input.valueAsNumber / 100;
  }

  #tell(): void {
    const words = `${this.#input.value} %`;
    this.#said.textContent = words;
    this.#input.setAttribute('aria-valuetext', words);
  }
}

/** The form for an API key, there only once the server has asked for one. */
export class KeyForm {
  readonly #form = element('key-form', HTMLFormElement);
  readonly #input = element('key', HTMLInputElement);

  /** `onKey` gets the key that was entered. */
  constructor(onKey: (key: string) => void) {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#form.hidden = true;
      onKey(this.#input.value.trim());
      this.#input.value = '';
    });
  }

  /** Asks for a key. */
  ask(): void {
    this.#form.hidden = false;
    this.#input.focus();
  }
}
