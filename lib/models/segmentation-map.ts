import { checkInteger } from '../check';
import { saveSafetensors } from '../checkpoint/save';
import { StateDict } from '../checkpoint/state-dict';
import { type CocoStuffResult, stuffResults } from '../coco/stuff-results';
import { FreqFusionError } from '../errors';
import { writePicture } from '../image/canvas';
import { decodeImage } from '../image/decode';
import { type ClassArea, classAreas, classShares, labelRuns } from '../image/label-areas';
import { encodeLabelPng, type LabelMap, writeBytes } from '../image/labels';
import { type OverlayOptions, renderOverlay } from '../image/overlay';
import { type DecodeOptions, type ImageInput, MAX_PIXELS, type Rgb } from '../image/types';
import type { Tensor } from '../tensor';

export type { CocoStuffResult } from '../coco/stuff-results';
export type { ClassArea } from '../image/label-areas';

/** Where the time of one segmentation went, in milliseconds. */
export interface SegmentationTiming {
  /** Reading and decoding the image. */
  readonly decode: number;
  /** Resizing, the network, and the map, with any waiting for the device. */
  readonly inference: number;
  readonly total: number;
}

/** Tensors beside the labels, each there only where `outputs` asked for it. */
export interface SegmentationTensors {
  /** float32 [C, h, w]: the decode head's output for the whole network input, its padding included. */
  readonly logits?: Tensor<'float32'> | undefined;
  /** float32 [C, H, W], at the image's own size. */
  readonly probabilities?: Tensor<'float32'> | undefined;
  /** [H, W]: the probability of each pixel's label. */
  readonly scores?: Float32Array | undefined;
}

/** @internal */
export interface SegmentationMapInit extends SegmentationTensors {
  readonly width: number;
  readonly height: number;
  readonly labels: Uint8Array | Int32Array;
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly timing: SegmentationTiming;
}

/** The class of every pixel of an image, at the image's own size. */
export class SegmentationMap implements LabelMap, SegmentationTensors {
  readonly width: number;
  readonly height: number;
  /** Class indices, row-major [height, width]; Int32Array above 256 classes. */
  readonly labels: Uint8Array | Int32Array;
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly timing: SegmentationTiming;
  readonly logits: Tensor<'float32'> | undefined;
  readonly probabilities: Tensor<'float32'> | undefined;
  readonly scores: Float32Array | undefined;
  #areas: readonly ClassArea[] | undefined;

  /** @internal */
  constructor(init: SegmentationMapInit) {
    this.width = init.width;
    this.height = init.height;
    this.labels = init.labels;
    this.classes = init.classes;
    this.palette = init.palette;
    this.timing = init.timing;
    this.logits = init.logits;
    this.probabilities = init.probabilities;
    this.scores = init.scores;
  }

  /** The class at column x and row y. Throws ERR_RANGE outside the image. */
  at(x: number, y: number): { index: number; name: string; score?: number } {
    checkInteger(x, 'x', 0, this.width - 1);
    checkInteger(y, 'y', 0, this.height - 1);
    const offset = y * this.width + x;
    const index = this.labels[offset]!;
    const score = this.scores?.[offset];
    return { index, name: this.classes[index]!, ...(score !== undefined && { score }) };
  }

  /** Pixels and share of every class that the image has, the largest first. */
  areas(): readonly ClassArea[] {
    this.#areas ??= classAreas(this);
    return this.#areas;
  }

  /**
   * Paints the map over the image that it was made from and adds a legend with names, colours and areas. Writes the
   * picture where `file` is given, in the format of its extension, and resolves to the encoded bytes (PNG without one).
   * Throws ERR_IMAGE_SIZE for an image of another size, and what decoding and writing throw.
   */
  async overlay(
    image: ImageInput,
    file?: string,
    options: OverlayOptions & Pick<DecodeOptions, 'maxPixels' | 'background'> = {},
  ): Promise<Buffer> {
    const { maxPixels = Math.max(MAX_PIXELS, this.width * this.height), background, ...rest } = options;
    const decoded = await decodeImage(image, {
      maxPixels,
      ...(background !== undefined && { background }),
      signal: options.signal,
    });
    const { width, height, labels, classes, palette } = this;
    const shares = classShares(this.areas(), classes.length);
    return writePicture(
      await renderOverlay(decoded, { width, height, labels, classes, palette, shares }, rest),
      file,
    );
  }

  /** The labels as a greyscale PNG of one channel, 8 bits (16 above 256 classes), at the image's own size. */
  async toLabelPng(file?: string): Promise<Buffer> {
    const bytes = await encodeLabelPng(this);
    if (file !== undefined) await writeBytes(file, bytes);
    return bytes;
  }

  /**
   * Writes the logits [C, h, w] to a safetensors file, with the class names, the image's size and the colours in its
   * metadata. Throws ERR_OUTPUT_MISSING where `outputs` did not ask for the logits.
   */
  async saveLogits(file: string): Promise<void> {
    if (this.logits === undefined) {
      throw new FreqFusionError(
        'ERR_OUTPUT_MISSING',
        "the map has no logits: ask for them with outputs: ['labels', 'logits']",
        {
          expected: "'logits' among the outputs",
          actual: 'no logits',
        },
      );
    }
    const metadata = {
      classes: JSON.stringify(this.classes),
      palette: JSON.stringify(this.palette),
      image: JSON.stringify({ width: this.width, height: this.height }),
    };
    await saveSafetensors(file, StateDict.from({ logits: this.logits }), { metadata });
  }

  /** The labels as runs in row-major order: label, length, label, length, ... */
  runs(): number[] {
    return labelRuns(this.labels);
  }

  /**
   * The classes as a COCO results file lists stuff: one mask a class that the image has, as compressed run lengths.
   * Classes have COCO's ids where all of them are COCO's, otherwise their index from 1.
   */
  toCoco(imageId: number): CocoStuffResult[] {
    return stuffResults(this, this.classes, imageId);
  }

  /** Size, class areas and timing; the labels themselves are left out (see {@link runs}). */
  toJSON(): { width: number; height: number; classes: ClassArea[]; timing: SegmentationTiming } {
    return { width: this.width, height: this.height, classes: [...this.areas()], timing: this.timing };
  }

  /** Frees the logits and probabilities, where there are any. The labels stay. */
  dispose(): void {
    this.logits?.dispose();
    this.probabilities?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
