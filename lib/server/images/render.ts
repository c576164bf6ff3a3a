import { encodePanopticPng } from '../../coco/panoptic-png';
import { stuffResults } from '../../coco/stuff-results';
import { writePicture } from '../../image/canvas';
import {
  type DetectionOverlayOptions,
  type DetectionSubject,
  type PanopticSubject,
  renderDetections,
  renderPanoptic,
} from '../../image/detection-overlay';
import { classAreas, classShares, type NamedLabelMap } from '../../image/label-areas';
import { encodeLabelPng, type LabelMap } from '../../image/labels';
import { type OverlayOptions, renderOverlay } from '../../image/overlay';
import type { DecodedImage } from '../../image/types';
import { runsText } from './runs-text';
import { encodeScores, type ScoreMap } from './score-map';

/** An answer to be made of a result: plain data alone, so that it can go to another thread. */
export type RenderJob =
  | {
      readonly kind: 'runs';
      readonly map: NamedLabelMap;
      readonly before: object;
      readonly after: object;
      readonly scores?: ScoreMap;
    }
  | { readonly kind: 'stuff'; readonly map: NamedLabelMap; readonly imageId: number }
  | { readonly kind: 'labels'; readonly map: LabelMap }
  | {
      readonly kind: 'overlay';
      readonly map: NamedLabelMap;
      readonly image: DecodedImage;
      readonly options: Omit<OverlayOptions, 'signal'>;
    }
  | {
      readonly kind: 'detections';
      readonly subject: DetectionSubject;
      readonly image: DecodedImage;
      readonly options: Omit<DetectionOverlayOptions, 'signal'>;
    }
  | {
      readonly kind: 'panoptic';
      readonly subject: PanopticSubject;
      readonly image: DecodedImage;
      readonly options: Omit<DetectionOverlayOptions, 'signal'>;
    }
  | { readonly kind: 'ids'; readonly ids: Int32Array; readonly width: number; readonly height: number };

/**
 * Makes an answer's bytes: a PNG or the text of JSON. Throws what the drawing and encoding functions throw, and
 * ERR_ABORTED where the signal fires.
 */
export async function render(job: RenderJob, signal?: AbortSignal): Promise<Buffer> {
  switch (job.kind) {
    case 'runs': {
      const { map, before, after } = job;
      const scores = job.scores === undefined ? {} : { scores: await encodeScores(job.scores) };
      const head = JSON.stringify({ ...before, classes: classAreas(map) }).slice(0, -1);
      const tail = JSON.stringify({ ...scores, ...after }).slice(1);
      return Buffer.concat([Buffer.from(`${head},"runs":[`), runsText(map.labels), Buffer.from(`],${tail}`)]);
    }
    case 'stuff':
      return Buffer.from(JSON.stringify(stuffResults(job.map, job.map.classes, job.imageId)));
    case 'labels':
      return encodeLabelPng(job.map);
    case 'overlay': {
      const { map, image, options } = job;
      const shares = classShares(classAreas(map), map.classes.length);
      return writePicture(await renderOverlay(image, { ...map, shares }, { ...options, signal }));
    }
    case 'detections':
      return writePicture(await renderDetections(job.image, job.subject, { ...job.options, signal }));
    case 'panoptic':
      return writePicture(await renderPanoptic(job.image, job.subject, { ...job.options, signal }));
    case 'ids':
      return encodePanopticPng(job.ids, job.width, job.height);
  }
}
