import { maskPaste, maskRuns, pasteWindow } from '../../ops/mask-paste';
import { type Tensor, tensor } from '../../tensor';
import { boxesOf } from '../boxes';
import { type HostArray, numbers } from '../compare';
import { GoldenError } from '../error';
import { type CaseRun, type FamilyRunner, type RunResult, toHost } from '../run';

/** Masks of boxes on a canvas: as values, and as the binary masks of a whole mask head. */
export const maskPasteFamily: FamilyRunner = {
  family: 'mask_paste',
  async run(run) {
    const op = run.config.choice('op', ['_do_paste_mask', 'get_seg_masks']);
    return op === '_do_paste_mask' ? values(run) : segments(run);
  },
};

async function values(run: CaseRun): Promise<RunResult> {
  const canvas = { height: run.config.integer('img_h'), width: run.config.integer('img_w') };
  const skipEmpty = run.config.boolean('skip_empty', true);
  const boxes = await boxesOf(run, 'boxes');
  const masks = await run.input('masks');
  const [count, , rows, columns] = masks.shape as [number, number, number, number];
  const flat = masks.reshape([count, rows, columns]);
  // The reference pastes all boxes of a call into one window; here every box has its own.
  const pasted = await maskPaste(flat, boxes, { ...canvas, skipEmpty: skipEmpty && count === 1 });
  if (!skipEmpty) return { outputs: { pasted } };
  const { top, bottom, left, right } = await pasteWindow(boxes, canvas);
  const window: HostArray = {
    dtype: 'int64',
    shape: [4],
    data: BigInt64Array.from([top, bottom, left, right], BigInt),
  };
  return { outputs: { pasted: pasted.slice(1, top, bottom).slice(2, left, right), window } };
}

/** The mask head's last step, from the logits of all classes. */
async function segments(run: CaseRun): Promise<RunResult> {
  const [height, width] = run.config.numbers('ori_shape', 3) as [number, number, number];
  const scale = run.config.numbers('scale_factor', 4);
  const rescale = run.config.boolean('rescale');
  const threshold = run.config.number('mask_thr_binary', 0.5);
  run.config.number('minMarginToThreshold', 0);
  const logits = await run.values('mask_pred');
  const [count, classes, rows, columns] = logits.shape as [number, number, number, number];
  if (run.config.integer('num_classes') !== classes)
    throw new GoldenError(`config.num_classes: expected ${classes}`);
  const labels = Array.from(numbers(await run.values('det_labels')), Number);
  const area = rows * columns;
  const all = numbers(logits);
  const masks = Float32Array.from({ length: count * area }, (_, i) => {
    const k = Math.floor(i / area);
    return 1 / (1 + Math.exp(-Number(all[(k * classes + labels[k]!) * area + (i % area)])));
  });
  const given = await boxesOf(run, 'det_bboxes');
  const corners = numbers(await toHost(given));
  const scaled = Float32Array.from({ length: 4 * count }, (_, i) =>
    rescale ? Math.fround(Number(corners[i]) / Math.fround(scale[i % 4]!)) : Number(corners[i]),
  );
  const canvas = rescale
    ? { height, width }
    : { height: Math.round(height * scale[1]!), width: Math.round(width * scale[0]!) };
  const place = (data: Float32Array, shape: number[]): Tensor => tensor(data, shape).to(run.target.device);
  const found = await maskRuns(place(masks, [count, rows, columns]), place(scaled, [count, 4]), {
    ...canvas,
    threshold,
  });
  return { outputs: { masks: await fill(found, count, canvas.height, canvas.width) } };
}

/** Run lengths by column -> pixels [K, height, width]. */
async function fill(
  { runs, starts }: { runs: Tensor; starts: Tensor },
  count: number,
  height: number,
  width: number,
): Promise<HostArray> {
  const lengths = Array.from(numbers(await toHost(runs)), Number);
  const first = Array.from(numbers(await toHost(starts)), Number);
  const data = new BigInt64Array(count * height * width);
  for (let k = 0; k < count; k += 1) {
    let at = 0;
    lengths.slice(first[k]!, first[k + 1]!).forEach((length, run) => {
      for (let end = at + length; at < end; at += 1) {
        if (run % 2 === 1) data[(k * height + (at % height)) * width + Math.floor(at / height)] = 1n;
      }
    });
  }
  return { dtype: 'int64', shape: [count, height, width], data };
}
