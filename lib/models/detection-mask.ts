import { checkInteger } from '../check';
import { outlinesOf } from '../coco/outlines';
import { type CocoBox, type CocoRle, decodeRle, type Rle, rleArea, rleBox, toCocoRle } from '../coco/rle';
import { encodeLabelPng, writeBytes } from '../image/labels';

/**
 * The pixels of a detection, in the size of its image. It holds run lengths alone, a few hundred bytes; a bitmap or
 * polygons are made when asked for.
 */
export class DetectionMask {
  readonly width: number;
  readonly height: number;
  /** Number of its pixels. */
  readonly area: number;
  /** Run lengths, column by column, the first of zeros. */
  readonly rle: Rle;

  constructor(rle: Rle) {
    this.rle = rle;
    [this.height, this.width] = rle.size;
    this.area = rleArea(rle);
  }

  /** The smallest box around the mask, in COCO's form: left edge, top edge, width, height. It may differ from the detection's. */
  get box(): CocoBox {
    return rleBox(this.rle);
  }

  /** Whether the pixel at column x and row y belongs to it. Throws ERR_RANGE outside the image. */
  at(x: number, y: number): boolean {
    checkInteger(x, 'x', 0, this.width - 1);
    checkInteger(y, 'y', 0, this.height - 1);
    const { counts } = this.rle;
    const position = x * this.height + y;
    let run = 0;
    for (let end = counts[0] ?? 0; end <= position; end += counts[run]!) run += 1;
    return run % 2 === 1;
  }

  /** A byte a pixel, 0 or 1, row-major [height, width]. */
  toBitmap(): Uint8Array {
    return decodeRle(this.rle);
  }

  /**
   * The outlines of its connected regions along the edges of pixels, each [x1, y1, x2, y2, ...], the largest first.
   * Holes are left out, as COCO's polygons have none: for a mask without holes they rasterise to the mask itself.
   */
  toPolygons(): number[][] {
    return outlinesOf(this.rle);
  }

  /** Run lengths in COCO's compressed form, as pycocotools reads them. */
  toCoco(): CocoRle {
    return toCocoRle(this.rle);
  }

  /** The mask as a greyscale PNG of one channel, 255 inside and 0 outside. */
  async toPng(file?: string): Promise<Buffer> {
    const { width, height } = this;
    const labels = this.toBitmap().map((value) => 255 * value);
    const bytes = await encodeLabelPng({ width, height, labels });
    if (file !== undefined) await writeBytes(file, bytes);
    return bytes;
  }

  toJSON(): CocoRle {
    return this.toCoco();
  }
}
