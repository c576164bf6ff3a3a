import { checkInteger } from '../check';
import { cocoIds } from '../coco/classes';
import { encodePanopticPng } from '../coco/panoptic-png';
import { panopticSegments, type SegmentInfo } from '../coco/panoptic-segments';
import type { CocoBox } from '../coco/rle';
import { writeBytes } from '../image/labels';
import type { Rgb } from '../image/types';

/** A segment of a panoptic map: an instance of a thing, or all of an image's pixels of one kind of stuff. */
export interface PanopticMapSegment {
  /** What its pixels have in `ids`. */
  readonly id: number;
  /** Index of its class among the model's. */
  readonly label: number;
  readonly className: string;
  readonly isThing: boolean;
  /** Number of its pixels. */
  readonly area: number;
  /** The smallest box around it: left edge, top edge, width, height. */
  readonly box: CocoBox;
}

/** An image's entry in a file of COCO's panoptic results. */
export interface CocoPanopticResult {
  image_id: number;
  /** The PNG with the segments' pixels. */
  file_name: string;
  segments_info: SegmentInfo[];
}

/** @internal */
export interface PanopticMapInit {
  readonly width: number;
  readonly height: number;
  /** The model's own map: label + 1000 x instance, void = number of classes. */
  readonly map: Int32Array;
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  /** How many of the classes are things; they come first. */
  readonly things: number;
}

/** What every pixel of an image belongs to: an instance, a kind of stuff, or nothing. */
export class PanopticMap {
  readonly width: number;
  readonly height: number;
  /** Segment ids, row-major [height, width]; 0 where nothing was recognised. */
  readonly ids: Int32Array;
  /** The segments in the order of their ids: stuff, then things. */
  readonly segments: readonly PanopticMapSegment[];
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly #infos: readonly SegmentInfo[];

  /** @internal */
  constructor({ width, height, map, classes, palette, things }: PanopticMapInit) {
    const categories = cocoIds(classes) ?? classes.map((_, label) => label + 1);
    const kinds = categories.map((id, label) => ({ id, label, isThing: label < things }));
    const { ids, segments } = panopticSegments(map, width, height, kinds);
    const labels = new Map(kinds.map(({ id, label }) => [id, label]));
    this.width = width;
    this.height = height;
    this.ids = ids;
    this.classes = classes;
    this.palette = palette;
    this.#infos = segments;
    this.segments = segments.map(({ id, category_id, area, bbox, isthing }) => {
      const label = labels.get(category_id)!;
      return { id, label, className: classes[label]!, isThing: isthing === 1, area, box: bbox };
    });
  }

  /** The segment at column x and row y; undefined where there is none. Throws ERR_RANGE outside the image. */
  at(x: number, y: number): PanopticMapSegment | undefined {
    checkInteger(x, 'x', 0, this.width - 1);
    checkInteger(y, 'y', 0, this.height - 1);
    const id = this.ids[y * this.width + x];
    return this.segments.find((segment) => segment.id === id);
  }

  /** COCO's panoptic PNG: id = R + 256 G + 65536 B, 0 for void. */
  async toPng(file?: string): Promise<Buffer> {
    const bytes = await encodePanopticPng(this.ids, this.width, this.height);
    if (file !== undefined) await writeBytes(file, bytes);
    return bytes;
  }

  /**
   * The annotation that belongs to {@link toPng} in COCO's panoptic results. Classes have COCO's ids where all of them
   * are COCO's, otherwise their index from 1.
   */
  toCoco(imageId: number, fileName: string): CocoPanopticResult {
    return {
      image_id: imageId,
      file_name: fileName,
      segments_info: this.#infos.map((info) => ({ ...info, bbox: [...info.bbox] as const })),
    };
  }

  /** Size and segments; the ids are left out (see {@link toPng}). */
  toJSON(): { width: number; height: number; segments: PanopticMapSegment[] } {
    return { width: this.width, height: this.height, segments: [...this.segments] };
  }
}
