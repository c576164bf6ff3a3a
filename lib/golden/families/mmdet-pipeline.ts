import { type PreprocessOptions, preprocess, preprocessSizes } from '../../image/preprocess';
import { array, object } from '../case';
import type { HostArray } from '../compare';
import type { CaseRun, Check, FamilyRunner, RunResult } from '../run';

/** mmdetection's test pipeline: keep-ratio resize, normalisation, padding to a multiple; or its sizes alone. */
export const mmdetPipelineFamily: FamilyRunner = {
  family: 'mmdet_pipeline',
  run: (run) => (run.hasInput('hw') ? runSizes(run) : runImage(run)),
};

function geometry({ config }: CaseRun): Pick<PreprocessOptions, 'resize' | 'multiple'> {
  return {
    resize: { mode: 'keep-ratio', scale: config.numbers('img_scale', 2) },
    multiple: { divisor: config.integer('size_divisor'), how: 'pad' },
  };
}

async function runSizes(run: CaseRun): Promise<RunResult> {
  using sizes = run.place(await run.values('hw')).to('cpu');
  const { resized, network, scaleFactor } = await preprocessSizes(sizes, geometry(run));
  return { outputs: { new_hw: resized, pad_hw: network, scale_factor: scaleFactor } };
}

async function runImage(run: CaseRun): Promise<RunResult> {
  // Without the swap the network sees BGR: every step works channel by channel, so nothing needs to be reversed then.
  const order = run.config.boolean('to_rgb', true) ? [2, 1, 0] : [0, 1, 2];
  const image = await run.values('image');
  const [height, width] = image.shape as [number, number];
  using pixels = run.place(reordered(image, order)).to('cpu');
  using sizes = run.place({
    dtype: 'int64',
    shape: [1, 2],
    data: BigInt64Array.from([height, width].map(BigInt)),
  });
  const { scaleFactor } = await preprocessSizes(sizes.to('cpu'), geometry(run));
  const { resized, input } = await preprocess(pixels, {
    ...geometry(run),
    mean: run.config.numbers('mean', 3),
    std: run.config.numbers('std', 3),
  });
  const [, channels, padHeight, padWidth] = input.shape as [number, number, number, number];
  const shapes = {
    ori_shape: image.shape,
    img_shape: resized.shape,
    pad_shape: [padHeight, padWidth, channels],
  };
  const back = { dtype: resized.dtype, shape: resized.shape, data: await resized.data() };
  return {
    outputs: {
      resized: reordered(back as HostArray, order),
      img: input.reshape([channels, padHeight, padWidth]),
      scale_factor: scaleFactor.reshape([4]),
    },
    checks: shapeChecks(run, shapes),
  };
}

/** Compares the shapes that mmdetection would note in an image's metas. */
function shapeChecks(run: CaseRun, shapes: Readonly<Record<string, readonly number[]>>): Check[] {
  const expected = object(run.config.value('expect'), 'config.expect');
  return Object.entries(expected).map(([name, value]) => {
    const want = array(value, `config.expect.${name}`).join(' x ');
    const got = shapes[name]?.join(' x ') ?? 'nothing of this name';
    return { name, ok: got === want, detail: got === want ? got : `expected ${want}, got ${got}` };
  });
}

/** Pixels [H, W, 3] as bytes, with their channels in another order. */
function reordered({ shape, data }: HostArray, order: readonly number[]): HostArray {
  const values = Uint8Array.from(data as ArrayLike<number | bigint>, Number);
  const result = values.map((_, i) => values[i - (i % 3) + order[i % 3]!]!);
  return { dtype: 'uint8', shape, data: result };
}
