/** Pixels past which scores are left alone: reading them would hold the page up. */
const MOST = 16_000_000;

/** The bytes of a grey PNG in base64, one a pixel; undefined where it is missing, broken, or of another size. */
export async function readScores(
  base64: string | undefined,
  { width, height }: { width: number; height: number },
): Promise<Uint8Array | undefined> {
  if (base64 === undefined || width * height > MOST) return undefined;
  try {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const options: ImageBitmapOptions = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }), options);
    if (bitmap.width !== width || bitmap.height !== height) return undefined;
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context?.drawImage(bitmap, 0, 0);
    const rgba = context?.getImageData(0, 0, width, height).data;
    bitmap.close();
    return rgba === undefined
      ? undefined
      : Uint8Array.from({ length: width * height }, (_, i) => rgba[4 * i]!);
  } catch {
    return undefined;
  }
}
