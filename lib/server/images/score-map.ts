import sharp from 'sharp';

/** Pixels of a score map at most: enough to read a score under a pointer, and soon made and sent. */
const MOST = 1_000_000;

/** How sure a segmentation is of its labels: 255 times the score, row by row, on a grid of at most a million pixels. */
export interface ScoreMap {
  readonly width: number;
  readonly height: number;
  readonly bytes: Uint8Array;
}

/** A score map as an answer has it: a grey PNG in base64. */
export interface EncodedScores {
  readonly width: number;
  readonly height: number;
  readonly png: string;
}

/** Thins out the scores of an image, float32 [H, W]: each pixel of the grid has the score under its centre. */
export function scoreMap(scores: Float32Array, size: { width: number; height: number }): ScoreMap {
  const scale = Math.min(1, Math.sqrt(MOST / (size.width * size.height)));
  const width = Math.max(1, Math.floor(size.width * scale));
  const height = Math.max(1, Math.floor(size.height * scale));
  const bytes = new Uint8Array(width * height);
  const columns = Uint32Array.from({ length: width }, (_, x) => under(x, width, size.width));
  for (let y = 0, at = 0; y < height; y++) {
    const row = under(y, height, size.height) * size.width;
    for (let x = 0; x < width; x++, at++) bytes[at] = Math.round(255 * scores[row + columns[x]!]!);
  }
  return { width, height, bytes };
}

/** Encodes a score map. */
export async function encodeScores({ width, height, bytes }: ScoreMap): Promise<EncodedScores> {
  const png = await sharp(bytes, { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .png({ palette: false })
    .toBuffer();
  return { width, height, png: png.toString('base64') };
}

function under(index: number, count: number, size: number): number {
  return Math.min(size - 1, Math.floor(((index + 0.5) * size) / count));
}
