import { drawBoxes } from './boxes.js';
import { make } from './elements.js';
import { type Result, type Shown, shownObjects } from './result.js';
import { paintResult } from './stage.js';

/** Pixels of the largest picture that is written: browsers on phones have no larger canvas. */
const MOST = 16_000_000;

/** Hands a file to the browser's downloads. */
export function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = make('a', '');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The name of a download: that of the picture, without its extension, and what it is. */
export function downloadName(picture: string, what: string): string {
  const base = picture.replace(/\.[^.]*$/, '').replace(/[^\p{L}\p{N}._-]+/gu, '-');
  return `${base === '' ? 'image' : base}-${what}`;
}

/** The picture with the overlay as it is shown, at the picture's own size, as a PNG. */
export async function renderPng(
  photo: HTMLImageElement | undefined,
  result: Result,
  shown: Shown,
  opacity: number,
): Promise<Blob> {
  const scale = Math.min(1, Math.sqrt(MOST / (result.width * result.height)));
  const width = Math.max(1, Math.round(result.width * scale));
  const height = Math.max(1, Math.round(result.height * scale));
  const pixels = new ImageData(width, height);
  await paintResult(pixels, result, shown, new AbortController().signal);
  const layer = canvas(width, height);
  layer.context.putImageData(pixels, 0, 0);
  const { element, context } = canvas(width, height);
  if (photo === undefined) {
    context.fillStyle = '#808080';
    context.fillRect(0, 0, width, height);
  } else {
    context.drawImage(photo, 0, 0, width, height);
  }
  context.globalAlpha = opacity;
  context.drawImage(layer.element, 0, 0);
  context.globalAlpha = 1;
  if (result.content.kind === 'detect') {
    drawBoxes(context, shownObjects(result.content, shown), scale, { width });
  }
  return new Promise((resolve, reject) => {
    element.toBlob((blob) => (blob === null ? reject(new Error('no room for the picture')) : resolve(blob)));
  });
}

function canvas(width: number, height: number) {
  const made = make('canvas', '');
  made.width = width;
  made.height = height;
  const context = made.getContext('2d');
  if (context === null) throw new Error('no room for the picture');
  return { element: made, context };
}
