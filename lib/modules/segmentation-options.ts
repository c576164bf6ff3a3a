/** How images become network inputs: the steps of an mmsegmentation test pipeline. */
export interface PreprocessOptions {
  /**
   * 'keep-ratio': the largest size of the same ratio whose longer side is at most the greater number of `scale` and
   * whose shorter side is at most the other (mmcv's Resize). 'longest': the longer side becomes `size`. Enlarging is
   * always bilinear; shrinking is bilinear without antialiasing (default, as cv2 does) or averages the area.
   * Default null: no resizing.
   */
  readonly resize?:
    | {
        readonly mode: 'keep-ratio';
        readonly scale: readonly number[];
        readonly filter?: 'bilinear' | 'area';
      }
    | { readonly mode: 'longest'; readonly size: number; readonly filter?: 'bilinear' | 'area' }
    | null;
  /**
   * Bring both sides to the next multiple of `divisor` (32), by stretching the image (mmcv's ResizeToMultiple,
   * default) or by padding with zeros at the right and bottom after normalisation. Default null: leave them.
   */
  readonly multiple?: { readonly divisor?: number; readonly how?: 'stretch' | 'pad' } | null;
  /** Subtracted from red, green and blue, which range from 0 to 255. Default [123.675, 116.28, 103.53]. */
  readonly mean?: readonly number[];
  /** What the differences are divided by. Default [58.395, 57.12, 57.375]. */
  readonly std?: readonly number[];
}

/** How an image goes through the network. */
export interface InferenceOptions {
  /** The whole image at once (default), or overlapping windows whose logits are averaged. */
  readonly mode?: 'whole' | 'slide';
  /** Height and width of a window, in pixels of the network input. Mode 'slide' needs it. */
  readonly crop?: readonly number[];
  /** Distance of windows, at most `crop`. Mode 'slide' needs it. */
  readonly stride?: readonly number[];
  /**
   * Test-time scales of the target of `resize`, whose probabilities are averaged; mmsegmentation's ade20k_repeat-MS
   * takes [0.5, 0.75, 1, 1.25, 1.5, 1.75] with `flip`. Default [1].
   */
  readonly ratios?: readonly number[];
  /** Add the mirror image of every scale. Default false. */
  readonly flip?: boolean;
}

/** What a segmentation returns; labels alone by default. */
export interface SegmentationRequest {
  readonly labels?: boolean;
  /** The network's own result before resizing. Only of one whole view. */
  readonly logits?: boolean;
  readonly probabilities?: boolean;
  readonly scores?: boolean;
}
