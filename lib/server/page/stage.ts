import type { Rgb } from './answer.js';
import { drawBoxes } from './boxes.js';
import { element } from './elements.js';
import { type PaintedMask, paintLabels, paintMasks } from './paint.js';
import { type Result, type Shown, shownObjects } from './result.js';
import { paintSize } from './sampling.js';

/** A picture that the browser can show, or could not. */
export interface Photo {
  readonly name: string;
  /** Undefined where the browser cannot decode the format; the server may still. */
  readonly url: string | undefined;
}

/** The colours of the classes that are shown. */
export function shownColors({ answer }: Result, { hidden }: Shown): Map<number, Rgb> {
  return new Map(
    answer.classes.filter(({ index }) => !hidden.has(index)).map(({ index, color }) => [index, color]),
  );
}

/** The masks that are shown, the best last, so that it is painted on top. */
export function shownMasks({ content }: Result, shown: Shown): PaintedMask[] {
  if (content.kind === 'segment') return [];
  return shownObjects(content, shown)
    .flatMap(({ mask, box, color }) => (mask === undefined ? [] : [{ mask, box, color }]))
    .reverse();
}

/** Paints everything of a result that opacity applies to. Resolves to false where `signal` fired. */
export function paintResult(
  pixels: ImageData,
  result: Result,
  shown: Shown,
  signal: AbortSignal,
): Promise<boolean> {
  const { content } = result;
  return content.kind === 'segment'
    ? paintLabels(pixels, content.labels, shownColors(result, shown), signal)
    : paintMasks(pixels, result, shownMasks(result, shown), signal);
}

/** The picture with what was found laid over it: an image and two canvases, no more pixels than the screen has. */
export class Stage {
  readonly #frame = element('frame', HTMLDivElement);
  readonly #stage = element('stage', HTMLDivElement);
  readonly #photo = element('photo', HTMLImageElement);
  readonly #masks = element('masks', HTMLCanvasElement);
  readonly #boxes = element('boxes', HTMLCanvasElement);
  #result: Result | undefined;
  #shown: Shown = { hidden: new Set(), threshold: 0 };
  #lit: number | undefined;
  #painting = new AbortController();
  #paintedFor = '';

  constructor() {
    new ResizeObserver(() => this.#resized()).observe(this.#stage);
  }

  /** Shows a picture by itself, before anything is known of it. */
  preview(photo: Photo, { width, height }: { width: number; height: number }): void {
    this.#clear();
    this.#place(photo, width, height);
  }

  /** Shows a picture with its result. */
  show(photo: Photo, result: Result, shown: Shown): void {
    this.#clear();
    this.#result = result;
    this.#shown = shown;
    this.#place(photo, result.width, result.height);
    this.#paint();
  }

  /** Shows other classes or scores of the same result. */
  update(shown: Shown): void {
    this.#shown = shown;
    this.#paint();
  }

  /** Draws one object's box bolder; undefined: none. */
  light(index: number | undefined): void {
    if (index === this.#lit) return;
    this.#lit = index;
    this.#paintBoxes();
  }

  /** 0 to 1. */
  set opacity(value: number) {
    this.#stage.style.setProperty('--opacity', String(value));
  }

  #clear(): void {
    this.#painting.abort();
    this.#result = undefined;
    this.#lit = undefined;
    for (const canvas of [this.#masks, this.#boxes]) {
      canvas.width = 1;
      canvas.height = 1;
    }
  }

  #place({ name, url }: Photo, width: number, height: number): void {
    this.#frame.hidden = false;
    this.#stage.style.setProperty('--ratio', String(width / height));
    this.#photo.hidden = url === undefined;
    this.#photo.alt = name;
    if (url !== undefined) this.#photo.src = url;
  }

  #size(): { width: number; height: number; ratio: number } {
    const { clientWidth, clientHeight } = this.#stage;
    return { width: clientWidth, height: clientHeight, ratio: Math.min(3, window.devicePixelRatio) };
  }

  #resized(): void {
    const { width, height, ratio } = this.#size();
    if (this.#result !== undefined && `${width} ${height} ${ratio}` !== this.#paintedFor) this.#paint();
  }

  #paint(): void {
    this.#painting.abort();
    this.#painting = new AbortController();
    const { width, height, ratio } = this.#size();
    this.#paintedFor = `${width} ${height} ${ratio}`;
    this.#paintBoxes();
    void this.#paintMasks(this.#painting.signal);
  }

  async #paintMasks(signal: AbortSignal): Promise<void> {
    const result = this.#result;
    const { width, height, ratio } = this.#size();
    if (result === undefined || width === 0) return;
    const size = paintSize(result, { width: width * ratio, height: height * ratio });
    const pixels = new ImageData(size.width, size.height);
    if (!(await paintResult(pixels, result, this.#shown, signal))) return;
    this.#masks.width = size.width;
    this.#masks.height = size.height;
    this.#masks.getContext('2d')?.putImageData(pixels, 0, 0);
  }

  #paintBoxes(): void {
    const context = this.#boxes.getContext('2d');
    const { width, height, ratio } = this.#size();
    if (this.#result === undefined || context === null || width === 0) return;
    this.#boxes.width = Math.round(width * ratio);
    this.#boxes.height = Math.round(height * ratio);
    const { content } = this.#result;
    if (content.kind === 'segment') return;
    context.scale(ratio, ratio);
    const objects = shownObjects(content, this.#shown);
    drawBoxes(context, objects, width / this.#result.width, { width, lit: this.#lit });
  }
}
