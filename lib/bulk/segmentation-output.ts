import { seconds } from '../cli/output';
import type { ImageInput } from '../image/types';
import type { SegmentationMap } from '../models/segmentation-map';
import type { SegmentRun } from './run-options';

/** Writes one segmentation in the format of `freqfusion segment`. Throws what the map's own methods throw. */
export async function writeSegmentation(
  map: SegmentationMap,
  image: ImageInput,
  output: string,
  { format, opacity }: { format: SegmentRun['format']; opacity?: number | undefined },
): Promise<void> {
  if (format === 'labels') await map.toLabelPng(output);
  else if (format === 'logits') await map.saveLogits(output);
  else {
    const captions = [
      `${map.width} x ${map.height} pixels`,
      `inference ${seconds(map.timing.inference / 1000)}`,
    ];
    await map.overlay(image, output, { captions, ...(opacity !== undefined && { opacity }) });
  }
}
