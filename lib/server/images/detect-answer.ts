import type { DetectionResult } from '../../models/detection-result';
import type { Served } from '../batch-queue';
import type { ServedDetector } from '../served-model';
import type { Prediction } from '../tasks';
import { type Answer, type AnswerInit, timingOf } from './answer';
import type { DetectQueryOptions } from './schemas';
import type { DETECT_VIEWS } from './views';

/** A view of POST /detect. */
export type DetectView = (typeof DETECT_VIEWS)[number]['name'];

/** Whether a view of POST /detect shows the image itself. */
export function detectNeedsImage(view: DetectView): boolean {
  return view === 'overlay';
}

/** What a view of a detection is made of. Its masks are run lengths, and few: the JSON of them is made at once. */
export function detectAnswer(
  { result: { result, image }, waited, batch }: Served<Prediction<DetectionResult>>,
  view: DetectView,
  { model, query }: AnswerInit<ServedDetector, DetectQueryOptions>,
): Answer {
  const { width, height, palette, panoptic } = result;
  const timing = timingOf(waited, result.timing);
  switch (view) {
    case 'json': {
      const { name, version } = model.config;
      const { timing: _, ...found } = result.toJSON();
      const classes = result.classes.map((each, index) => ({ index, name: each, color: palette[index] }));
      return { timing, json: { model: name, version, ...found, classes, timing, batch } };
    }
    case 'coco':
      return { timing, json: result.toCoco(query.imageId ?? 1) };
    case 'panoptic':
      return { timing, job: { kind: 'ids', ids: panoptic!.ids, width, height } };
    case 'overlay': {
      const { opacity, minScore = 0.3 } = query;
      const options = opacity === undefined ? {} : { opacity };
      if (panoptic !== undefined) {
        const { ids, segments } = panoptic;
        const subject = { width, height, ids, segments, palette };
        return { timing, job: { kind: 'panoptic', subject, image: image!, options } };
      }
      const detections = result.detections
        .filter(({ score }) => score >= minScore)
        .map(({ mask, ...rest }) => ({ ...rest, ...(mask && { mask: { rle: mask.rle } }) }));
      const subject = { width, height, detections, palette };
      return { timing, job: { kind: 'detections', subject, image: image!, options } };
    }
  }
}
