import { RoiHead, RpnHead, SemanticFpnHead } from '../../modules/detector-heads';
import type { DetectorOptions } from '../../modules/detector-options';
import {
  type DetectorOutput,
  FasterRcnn,
  MaskRcnn,
  PanopticFpn,
  type TwoStageDetector,
} from '../../modules/two-stage-detector';
import type { Tensor } from '../../tensor';
import type { HostArray } from '../compare';
import { GoldenError } from '../error';
import { type CaseRun, type FamilyRunner, named, type RunResult } from '../run';
import { readStored } from '../store';
import {
  detectorShape,
  detectorTest,
  imageMeta,
  rcnnTest,
  roiHeadShape,
  rpnTest,
  sides,
} from './detector-shape';
import { ShapeTable } from './segnext-shape';

/** Faster R-CNN with FreqFusion: whole with its intermediate results, its RPN, or its RoI head. */
export const fasterRcnnFamily = detectorFamily(
  'faster_rcnn_r50_freqfusion',
  (options) => new FasterRcnn(options),
);
/** Mask R-CNN with FreqFusion: whole with its intermediate results, or its RoI head. */
export const maskRcnnFamily = detectorFamily('mask_rcnn_r50_freqfusion', (options) => new MaskRcnn(options));
/** Panoptic FPN with FreqFusion: whole with its intermediate results, or its semantic head. */
export const panopticFpnFamily = detectorFamily(
  'panoptic_fpn_r50_freqfusion',
  (options) => new PanopticFpn(options),
);

function detectorFamily(family: string, make: (options: DetectorOptions) => TwoStageDetector): FamilyRunner {
  return {
    family,
    run(run) {
      const shapes = new ShapeTable(run.golden.parameters);
      if (!run.config.has('part')) return runDetector(run, shapes, make);
      const part = run.config.choice('part', ['rpn_head', 'roi_head', 'semantic_head']);
      if (part === 'rpn_head') return runRpn(run);
      return part === 'roi_head' ? runRoi(run, shapes) : runSemantic(run);
    },
  };
}

async function runDetector(
  run: CaseRun,
  shapes: ShapeTable,
  make: (options: DetectorOptions) => TwoStageDetector,
): Promise<RunResult> {
  const model = run.config.value('model');
  if (model !== run.golden.family) throw new GoldenError(`config.model: expected ${run.golden.family}`);
  run.config.value('config_file');
  const image = await run.input('img');
  const [batch, , height, width] = image.shape as [number, number, number, number];
  if (String(sides(run.config, 'pad_shape')) !== String([height, width])) {
    throw new GoldenError('config.pad_shape: it is not the shape of the input');
  }
  const detector = make(detectorShape(shapes));
  const checks = await run.load(detector);
  const meta = imageMeta(run.config);
  const { outputs, stages } = await detector.forward(
    { image, metas: Array.from({ length: batch }, () => meta) },
    {
      stages: true,
      rescale: run.config.boolean('rescale'),
      testCfg: detectorTest(run.config.value('test_cfg')),
    },
  );
  const results: Record<string, Tensor> = { ...stages };
  for (const [i, { boxes, scores, labels }] of outputs.entries()) {
    Object.assign(results, {
      [`detBboxes${i}`]: boxes,
      [`detScores${i}`]: scores,
      [`detLabels${i}`]: labels,
    });
  }
  // A batch of one is named without the image's number.
  for (const [name, value] of Object.entries(results)) {
    if (batch === 1 && /^(proposal|det|semFull).*0$/.test(name)) results[name.slice(0, -1)] = value;
  }
  return {
    outputs: {
      ...named(run, results),
      ...(await masksOf(run, outputs[0]!)),
      ...(await mapOf(run, outputs[0]!)),
    },
    checks,
  };
}

/** Areas of all masks, and the few masks that are stored whole: `mask_pick` says which. */
async function masksOf(run: CaseRun, output: DetectorOutput): Promise<RunResult['outputs']> {
  const { maskRuns, maskStarts, maskAreas } = output;
  if (!run.wants('mask_area') || !maskRuns || !maskStarts || !maskAreas) return {};
  const results: RunResult['outputs'] = { mask_area: maskAreas };
  if (!run.wants('mask_pick')) return results;
  const stored = await readStored(run.golden.folder, 'outputs.safetensors');
  const pick = stored.get('mask_pick');
  const shape = run.golden.outputs.find(({ name }) => name === 'masks_picked')?.shape;
  if (pick === undefined || shape === undefined) throw new GoldenError('outputs: masks_picked has no shape');
  const [count, height, width] = shape as [number, number, number];
  const masks = new Uint8Array(count * height * width);
  const [runs, starts] = [maskRuns.dataSync(), maskStarts.dataSync()];
  for (let k = 0; k < count; k += 1) {
    const index = Number(pick.data[k]);
    const [begin, end] = [Number(starts[index]), Number(starts[index + 1])];
    let at = 0;
    for (let i = begin; i < end; i += 1) {
      const stop = at + runs[i]!;
      // Runs go down the columns; every second one is of ones.
      for (; at < stop; at += 1) {
        const row = at % height;
        masks[(k * height + row) * width + (at - row) / height] = (i - begin) % 2;
      }
    }
  }
  return { ...results, mask_pick: pick, masks_picked: { dtype: 'uint8', shape, data: masks } };
}

/** The panoptic map, and where it is what it must be: on the pixels that no rounding turns (`pan_sure`). */
async function mapOf(run: CaseRun, { panoptic }: DetectorOutput): Promise<RunResult['outputs']> {
  if (!run.wants('pan_results') || !panoptic) return {};
  const stored = await readStored(run.golden.folder, 'outputs.safetensors');
  const [want, sure] = [stored.get('pan_results'), stored.get('pan_sure')];
  if (want === undefined || sure === undefined) throw new GoldenError('outputs.safetensors: no pan_sure');
  const got = panoptic.dataSync();
  const right: HostArray = {
    dtype: 'uint8',
    shape: panoptic.shape,
    data: Uint8Array.from(got, (id, i) => Number(Number(sure.data[i]) === 1 && Number(want.data[i]) === id)),
  };
  return { pan_results: panoptic, pan_sure: right };
}

async function runRpn(run: CaseRun): Promise<RunResult> {
  const head = new RpnHead();
  const checks = await run.load(head, 'rpn_head.');
  const levels = await pyramid(run);
  const { imgShape } = imageMeta(run.config);
  const { proposals, stages } = await head.forward(levels, {
    stages: true,
    metas: Array.from({ length: levels.p2!.shape[0]! }, () => ({ imgShape })),
    testCfg: rpnTest(run.config.value('test_cfg')),
  });
  const results: Record<string, Tensor> = { ...stages };
  for (const [i, { boxes, scores }] of proposals.entries()) {
    Object.assign(results, { [`proposalBoxes${i}`]: boxes, [`proposalScores${i}`]: scores });
  }
  return { outputs: named(run, results), checks };
}

async function runRoi(run: CaseRun, shapes: ShapeTable): Promise<RunResult> {
  const head = new RoiHead(roiHeadShape(shapes));
  const checks = await run.load(head, 'roi_head.');
  const { boxes, scores, labels, maskLogits, stages } = await head.forward(
    { ...(await pyramid(run)), proposals: await run.input('proposals') },
    {
      stages: true,
      meta: imageMeta(run.config),
      rescale: run.config.boolean('rescale'),
      testCfg: rcnnTest(run.config.value('test_cfg')),
    },
  );
  const masks = maskLogits === undefined ? {} : { maskLogits };
  const results = { ...stages, detBboxes: boxes, detScores: scores, detLabels: labels, ...masks };
  return { outputs: named(run, results), checks };
}

async function runSemantic(run: CaseRun): Promise<RunResult> {
  const head = new SemanticFpnHead();
  const checks = await run.load(head, 'semantic_head.');
  const network = sides(run.config, 'pad_shape');
  const { imgShape, oriShape } = imageMeta(run.config);
  const rescale = run.config.boolean('rescale');
  const { logits, resized } = await head.forward(await pyramid(run), {
    network,
    shown: rescale ? imgShape : network,
    size: rescale ? oriShape : network,
  });
  return { outputs: { seg_preds: logits, seg_full: resized! }, checks };
}

async function pyramid(run: CaseRun): Promise<Record<`p${number}`, Tensor>> {
  const names = run.golden.inputs.map(({ name }) => name).filter((name) => /^p\d$/.test(name));
  const maps = await Promise.all(names.map((name) => run.input(name)));
  return Object.fromEntries(names.map((name, i) => [name, maps[i]!]));
}
