import { cocoIds } from '../coco/classes';
import type { CocoResult } from '../coco/results';
import type { CocoRle } from '../coco/rle';
import { writePicture } from '../image/canvas';
import { decodeImage } from '../image/decode';
import { type DetectionOverlayOptions, renderDetections, renderPanoptic } from '../image/detection-overlay';
import { type DecodeOptions, type ImageInput, MAX_PIXELS, type Rgb } from '../image/types';
import type { DetectionMask } from './detection-mask';
import type { PanopticMap, PanopticMapSegment } from './panoptic-map';

/** A box in an image: left, top, right and bottom edge, in its pixels. */
export type DetectionBox = readonly [x1: number, y1: number, x2: number, y2: number];

/** Something that was found in an image. */
export interface Detection {
  readonly box: DetectionBox;
  /** How sure the model is, 0 to 1. */
  readonly score: number;
  /** Index of the class among the model's. */
  readonly label: number;
  readonly className: string;
  /** Its pixels, of models that find them. */
  readonly mask?: DetectionMask;
}

/** Where the time of one detection went, in milliseconds. */
export interface DetectionTiming {
  /** Reading and decoding the image. */
  readonly decode: number;
  /** Resizing, the network and its results, with any waiting for the device; in a batch, its share of it. */
  readonly inference: number;
  readonly total: number;
}

/** A detection as {@link DetectionResult.toJSON} gives it. */
export interface DetectionJson {
  box: DetectionBox;
  score: number;
  label: number;
  className: string;
  mask?: CocoRle;
}

/** A result as {@link DetectionResult.toJSON} gives it. */
export interface DetectionResultJson {
  width: number;
  height: number;
  detections: DetectionJson[];
  panoptic?: { segments: PanopticMapSegment[] };
  timing: DetectionTiming;
}

/** Options of {@link DetectionResult.overlay}. */
export interface DetectionOverlay
  extends DetectionOverlayOptions,
    Pick<DecodeOptions, 'maxPixels' | 'background'> {
  /** Detections below this score are left out. Default 0.3; a panoptic map shows all of its segments. */
  minScore?: number;
  /** Show the panoptic map (default, where there is one) or boxes and masks. */
  panoptic?: boolean;
}

/** @internal */
export interface DetectionResultInit {
  readonly width: number;
  readonly height: number;
  readonly detections: readonly Detection[];
  readonly panoptic?: PanopticMap | undefined;
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly timing: DetectionTiming;
}

/** What a detector found in one image, in that image's own pixels. It holds no native memory. */
export class DetectionResult {
  readonly width: number;
  readonly height: number;
  /** The best score first; empty where nothing was found. */
  readonly detections: readonly Detection[];
  /** What every pixel belongs to, of panoptic models. */
  readonly panoptic: PanopticMap | undefined;
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly timing: DetectionTiming;

  /** @internal */
  constructor(init: DetectionResultInit) {
    this.width = init.width;
    this.height = init.height;
    this.detections = init.detections;
    this.panoptic = init.panoptic;
    this.classes = init.classes;
    this.palette = init.palette;
    this.timing = init.timing;
  }

  /** How many detections of at least `minScore` there are of every class, the most frequent first. */
  counts(minScore = 0): { className: string; label: number; count: number }[] {
    const counts = new Map<number, number>();
    for (const { label, score } of this.detections) {
      if (score >= minScore) counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    return [...counts]
      .map(([label, count]) => ({ className: this.classes[label]!, label, count }))
      .sort((a, b) => b.count - a.count || a.label - b.label);
  }

  /**
   * The detections as a COCO results file lists them, for pycocotools' loadRes: boxes as [x, y, width, height], masks
   * as compressed run lengths. Classes have COCO's ids where all of them are COCO's, otherwise their index from 1.
   */
  toCoco(imageId: number): CocoResult[] {
    const categories = cocoIds(this.classes);
    return this.detections.map(({ box: [x1, y1, x2, y2], score, label, mask }) => ({
      image_id: imageId,
      category_id: categories?.[label] ?? label + 1,
      bbox: [x1, y1, x2 - x1, y2 - y1],
      score,
      ...(mask && { segmentation: mask.toCoco() }),
    }));
  }

  /**
   * Draws the detections into the image that they were found in: translucent masks, boxes, names with scores; or the
   * panoptic map. Writes the picture where `file` is given, in the format of its extension, and resolves to the
   * encoded bytes (PNG without one).
   * Throws ERR_IMAGE_SIZE for an image of another size, and what decoding and writing throw.
   */
  async overlay(image: ImageInput, file?: string, options: DetectionOverlay = {}): Promise<Buffer> {
    const { maxPixels = Math.max(MAX_PIXELS, this.width * this.height), background, ...rest } = options;
    const { minScore = 0.3, panoptic = this.panoptic !== undefined, ...drawing } = rest;
    const decoded = await decodeImage(image, {
      maxPixels,
      ...(background !== undefined && { background }),
      signal: options.signal,
    });
    if (panoptic && this.panoptic !== undefined) {
      return writePicture(await renderPanoptic(decoded, this.panoptic, drawing), file);
    }
    const shown = this.detections.filter(({ score }) => score >= minScore);
    const subject = { width: this.width, height: this.height, detections: shown, palette: this.palette };
    return writePicture(await renderDetections(decoded, subject, drawing), file);
  }

  toJSON(): DetectionResultJson {
    const { width, height, panoptic, timing } = this;
    return {
      width,
      height,
      detections: this.detections.map(({ mask, ...rest }) => ({
        ...rest,
        ...(mask && { mask: mask.toCoco() }),
      })),
      ...(panoptic && { panoptic: { segments: [...panoptic.segments] } }),
      timing,
    };
  }
}
