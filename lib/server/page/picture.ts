import type { Settings } from './answer.js';
import { make } from './elements.js';
import { HEAD, pixelRefusal, refusal } from './file-check.js';
import type { Photo } from './stage.js';

/** A file that was chosen, checked and made ready to be shown. */
export interface Picture extends Photo {
  readonly file: File;
  /** Undefined where the browser cannot decode it. */
  readonly size: { readonly width: number; readonly height: number } | undefined;
}

/** A file that is not sent; the message says why. */
export class Refused extends Error {}

/** Checks a file and lets the browser decode it. Rejects with {@link Refused}. */
export async function openPicture(file: File, settings: Settings): Promise<Picture> {
  const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  const reason = refusal(file, head, settings);
  if (reason !== undefined) throw new Refused(reason);
  const url = URL.createObjectURL(file);
  const size = await sizeOf(url);
  const tooMany = size === undefined ? undefined : pixelRefusal(file.name, size, settings);
  if (size === undefined || tooMany !== undefined) URL.revokeObjectURL(url);
  if (tooMany !== undefined) throw new Refused(tooMany);
  return { file, name: file.name, url: size === undefined ? undefined : url, size };
}

/** Gives back what the browser keeps of a picture. */
export function closePicture({ url }: Picture): void {
  if (url !== undefined) URL.revokeObjectURL(url);
}

function sizeOf(url: string): Promise<Picture['size']> {
  const image = make('img', '');
  return new Promise((resolve) => {
    image.onload = () => resolve({ width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => resolve(undefined);
    image.src = url;
  });
}
