import type { ModelInfo } from './answer.js';
import { element, make } from './elements.js';

const TASKS = { segment: 'Segmentation', detect: 'Detection' } as const;

/** The list of models. */
export class ModelChoice {
  readonly #select = element('model', HTMLSelectElement);
  #models: readonly ModelInfo[] = [];

  /** `onChange`: the person chose another model. */
  constructor(onChange: () => void) {
    this.#select.addEventListener('change', onChange);
  }

  /** The chosen model, or undefined before the list is there. */
  get chosen(): ModelInfo | undefined {
    return this.#models.find(({ name }) => name === this.#select.value);
  }

  /** Whether every model can answer. */
  get ready(): boolean {
    return this.#models.every(({ ready }) => ready);
  }

  /** Lists models, and keeps the choice. */
  show(models: readonly ModelInfo[]): void {
    const before = this.#select.value;
    this.#models = models;
    this.#select.replaceChildren(
      ...(['segment', 'detect'] as const).flatMap((task) => {
        const own = models.filter((model) => model.task === task);
        if (own.length === 0) return [];
        const group = make('optgroup', '');
        group.label = TASKS[task];
        group.append(
          ...own.map(({ name, ready, state }) => {
            const option = make('option', '', ready ? name : `${name} (${state})`);
            option.value = name;
            return option;
          }),
        );
        return [group];
      }),
    );
    if (models.some(({ name }) => name === before)) this.#select.value = before;
    this.#select.disabled = models.length === 0;
    if (models.length === 0) this.#select.append(make('option', '', 'No models'));
  }

  /** Chooses the first model of a task unless the chosen one does it already. */
  prefer(task: ModelInfo['task']): void {
    if (this.chosen?.task === task) return;
    const found = this.#models.find((model) => model.task === task);
    if (found !== undefined) this.#select.value = found.name;
  }
}
