import type { DetectionResult } from '../../models/detection-result';
import type { Served } from '../batch-queue';
import type { ServedDetector } from '../served-model';
import type { Prediction } from '../tasks';
import { type AnswerInit, timingOf } from './answer';
import type { RenderJob } from './render';
import type { DetectQueryOptions } from './schemas';
import type { DETECT_VIEWS } from './views';

/** A view of POST /detect. */
export type DetectView = (typeof DETECT_VIEWS)[number]['name'];

/** Whether a view of POST /detect shows the image itself. */
export function detectNeedsImage(view: DetectView): boolean {
  return view === 'overlay';
}

/** What is to be rendered of a detection. Its masks are run lengths, and few: the JSON of them is made at once. */
export function detectJob(
  { result: { result, image }, waited, batch }: Served<Prediction<DetectionResult>>,
  view: DetectView,
  { model, query, signal }: AnswerInit<ServedDetector, DetectQueryOptions>,
): RenderJob | object {
  const { width, height, palette, panoptic } = result;
  switch (view) {
    case 'json': {
      const { name, version } = model.config;
      const { timing, ...found } = result.toJSON();
      return {
        model: name,
        version,
        ...found,
        classes: result.classes.map((each, index) => ({ index, name: each, color: palette[index] })),
        timing: timingOf(waited, timing),
        batch,
      };
    }
    case 'coco':
      return result.toCoco(query.imageId ?? 1);
    case 'panoptic':
      return { kind: 'ids', ids: panoptic!.ids, width, height };
    case 'overlay': {
      const { opacity, minScore = 0.3 } = query;
      const options = { signal, ...(opacity !== undefined && { opacity }) };
      if (panoptic !== undefined) {
        const { ids, segments } = panoptic;
        return {
          kind: 'panoptic',
          subject: { width, height, ids, segments, palette },
          image: image!,
          options,
        };
      }
      const detections = result.detections
        .filter(({ score }) => score >= minScore)
        .map(({ mask, ...rest }) => ({ ...rest, ...(mask && { mask: { rle: mask.rle } }) }));
      return { kind: 'detections', subject: { width, height, detections, palette }, image: image!, options };
    }
  }
}
