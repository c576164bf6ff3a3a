import { batchedNms, multiclassNms, nms } from '../../ops/nms';
import type { Tensor } from '../../tensor';
import { boxesOf } from '../boxes';
import { type HostArray, numbers } from '../compare';
import { GoldenError } from '../error';
import type { JsonValue } from '../json';
import { type CaseRun, type FamilyRunner, type RunResult, toHost } from '../run';

/** Non-maximum suppression: plain, by groups, and as the last step of a box head. */
export const nmsFamily: FamilyRunner = {
  family: 'nms',
  async run(run) {
    const op = run.config.choice('op', ['nms', 'batched_nms', 'multiclass_nms']);
    if (op === 'nms') return plain(run);
    return op === 'batched_nms' ? byGroups(run) : byClasses(run);
  },
};

async function plain(run: CaseRun): Promise<RunResult> {
  const boxes = await boxesOf(run, 'boxes');
  const scores = await boxesOf(run, 'scores');
  const keep = await nms(boxes, scores, {
    iouThreshold: run.config.number('iou_threshold', 0.5),
    offset: run.config.integer('offset', 0) as 0 | 1,
    scoreThreshold: run.config.number('score_threshold', 0),
    maxNum: most(run.config.value('max_num')),
  });
  return { outputs: { keep, dets: await detections(boxes, scores, keep) } };
}

async function byGroups(run: CaseRun): Promise<RunResult> {
  const boxes = await boxesOf(run, 'boxes');
  const scores = await boxesOf(run, 'scores');
  const groups = (await run.input('idxs')) as Tensor<'int64'>;
  const agnostic = run.config.boolean('class_agnostic', false);
  const value = run.config.value('nms_cfg') ?? null;
  // Without a configuration the reference sorts and suppresses nothing: no IoU is above 1.
  const options =
    value === null
      ? { iouThreshold: 1, classAgnostic: true, splitThreshold: 10000, maxNum: undefined }
      : suppression(value, agnostic);
  const keep = await batchedNms(boxes, scores, groups, options);
  return { outputs: { keep, dets: await detections(boxes, scores, keep) } };
}

async function byClasses(run: CaseRun): Promise<RunResult> {
  const boxes = await boxesOf(run, 'multi_bboxes');
  const scores = await boxesOf(run, 'multi_scores');
  const classes = run.config.integer('num_classes');
  if (scores.shape[1] !== classes + 1)
    throw new GoldenError(`config.num_classes: expected ${scores.shape[1]! - 1}, got ${classes}`);
  const found = await multiclassNms(boxes, scores, {
    ...suppression(run.config.value('nms') ?? null, false),
    scoreThreshold: run.config.number('score_thr'),
    maxNum: most(run.config.value('max_num')),
  });
  const [corners, values] = await Promise.all([toHost(found.boxes), toHost(found.scores)]);
  return {
    outputs: { dets: withScores(corners, values), labels: found.labels, inds: found.indices },
  };
}

function most(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}

/** An nms_cfg of the reference. */
function suppression(value: JsonValue, agnostic: boolean) {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new GoldenError('config.nms_cfg: expected an object');
  const known = new Set(['type', 'iou_threshold', 'class_agnostic', 'split_thr', 'max_num']);
  const odd = Object.keys(value).find((name) => !known.has(name));
  if (odd !== undefined) throw new GoldenError(`config.nms_cfg: unknown option "${odd}"`);
  const number = (name: string, fallback: number) => {
    const given = value[name] ?? fallback;
    if (typeof given !== 'number') throw new GoldenError(`config.nms_cfg.${name}: expected a number`);
    return given;
  };
  if ((value.type ?? 'nms') !== 'nms') throw new GoldenError('config.nms_cfg.type: expected "nms"');
  return {
    iouThreshold: number('iou_threshold', 0.5),
    classAgnostic: value.class_agnostic === true || agnostic,
    splitThreshold: number('split_thr', 10000),
    maxNum: most(value.max_num),
  };
}

/** Rows (x1, y1, x2, y2, score) of the boxes that stay. */
async function detections(boxes: Tensor, scores: Tensor, keep: Tensor): Promise<HostArray> {
  const chosen = Array.from(numbers(await toHost(keep)), Number);
  const pick = async (table: Tensor, columns: number): Promise<HostArray> => {
    const all = numbers(await toHost(table));
    const rows = chosen.flatMap((row) =>
      Array.from({ length: columns }, (_, i) => Number(all[row * columns + i])),
    );
    return { dtype: 'float32', shape: [chosen.length, columns], data: Float32Array.from(rows) };
  };
  return withScores(await pick(boxes, 4), await pick(scores, 1));
}

function withScores(boxes: HostArray, scores: HostArray): HostArray {
  const count = boxes.shape[0]!;
  const corners = numbers(boxes);
  const values = numbers(scores);
  const data = new Float64Array(count * 5);
  for (let i = 0; i < count; i += 1) {
    for (let j = 0; j < 4; j += 1) data[5 * i + j] = Number(corners[4 * i + j]);
    data[5 * i + 4] = Number(values[i]);
  }
  return { dtype: 'float64', shape: [count, 5], data };
}
