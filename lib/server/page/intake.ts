import { element } from './elements.js';

/** Where pictures come from: the file button, a drop anywhere on the page, and the clipboard. */
export class Intake {
  readonly #input = element('file', HTMLInputElement);
  readonly #curtain = element('curtain', HTMLDivElement);

  /** `onFile` gets the picture, and how many more came with it; `onNothing`: what came was no file. */
  constructor(onFile: (file: File, more: number) => void, onNothing: () => void) {
    const take = (files: FileList | null | undefined) => {
      const file = files?.[0];
      if (file !== undefined) onFile(file, files!.length - 1);
      return file !== undefined;
    };
    this.#input.addEventListener('change', () => {
      take(this.#input.files);
      // The same file may be chosen again, after it was changed.
      this.#input.value = '';
    });
    document.addEventListener('paste', (event) => {
      if (event.target instanceof HTMLInputElement) return;
      if (take(event.clipboardData?.files)) event.preventDefault();
    });
    // dragleave also fires between two elements of the page: only leaving the page has no other element.
    document.addEventListener('dragenter', (event) => {
      this.#curtain.hidden = !hasFiles(event);
    });
    document.addEventListener('dragleave', (event) => {
      if (event.relatedTarget === null) this.#curtain.hidden = true;
    });
    document.addEventListener('dragover', (event) => event.preventDefault());
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      this.#curtain.hidden = true;
      if (!take(event.dataTransfer?.files)) onNothing();
    });
  }
}

function hasFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer?.types.includes('Files') ?? false;
}
