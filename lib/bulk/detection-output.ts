import { writeMasks } from '../cli/masks';
import { writeBytes } from '../image/labels';
import type { DecodedImage } from '../image/types';
import type { DetectionModel, DetectionThresholds } from '../models/detection-model';
import type { DetectionResult } from '../models/detection-result';
import type { DetectRun } from './run-options';

/** What is shown to people begins here; below it lies what evaluations alone have a use for. */
export const SHOWN_SCORE = 0.3;

/** The thresholds of detections that are shown to people, where a model is not panoptic. */
export function shownThresholds(
  { score, max, iou }: Pick<DetectRun, 'score' | 'max' | 'iou'>,
  { info, network }: Pick<DetectionModel, 'info' | 'network'>,
  shown = true,
): DetectionThresholds {
  const own = network.options.testCfg?.rcnn?.scoreThr ?? 0.05;
  const raised = shown && info.task !== 'panoptic-segmentation' && own < SHOWN_SCORE;
  const least = score ?? (raised ? SHOWN_SCORE : undefined);
  return {
    ...(least !== undefined && { scoreThreshold: least }),
    ...(max !== undefined && { maxDetections: max }),
    ...(iou !== undefined && { iouThreshold: iou }),
  };
}

/** Writes what was found in one image in a format of `freqfusion detect`. Throws ERR_IMAGE_WRITE. */
export async function writeDetections(
  result: DetectionResult,
  decoded: DecodedImage,
  { image, output }: { image: string; output: string },
  { format, opacity }: { format: DetectRun['format']; opacity?: number | undefined },
): Promise<void> {
  if (format === 'overlay') {
    await result.overlay(decoded, output, { minScore: 0, ...(opacity !== undefined && { opacity }) });
  } else if (format === 'masks') await writeMasks(result, output);
  else await writeBytes(output, Buffer.from(`${JSON.stringify({ image, ...result.toJSON() })}\n`));
}
