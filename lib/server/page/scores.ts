import type { EncodedScores } from './answer.js';
import type { Scores } from './result.js';

/** Decodes scores; undefined where they are missing or broken: the page does without. */
export async function readScores(scores: EncodedScores | undefined): Promise<Scores | undefined> {
  if (scores === undefined) return undefined;
  const { width, height, png } = scores;
  try {
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }), {
      colorSpaceConversion: 'none',
    });
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context?.drawImage(bitmap, 0, 0);
    bitmap.close();
    const rgba = context?.getImageData(0, 0, width, height).data;
    return rgba === undefined ? undefined : { width, height, rgba };
  } catch {
    return undefined;
  }
}
