import { Hamburger } from '../../modules/hamburger';
import { Mscan } from '../../modules/mscan';
import { SegNeXt, type SegNeXtOptions } from '../../modules/segnext';
import type { Tensor } from '../../tensor';
import { array, count, string } from '../case';
import { camelCase } from '../config';
import { GoldenError } from '../error';
import { type CaseRun, type FamilyRunner, named, type RunResult } from '../run';
import { nmfBases } from '../synth';
import { backboneShape, headShape, rankOf, ShapeTable } from './segnext-shape';

/** SegNeXt whole with its intermediate results, its backbone alone, or its Hamburger alone. */
export const segNeXtFamily: FamilyRunner = {
  family: 'segnext',
  run(run) {
    const shapes = new ShapeTable(run.golden.parameters);
    if (shapes.has('decode_head.conv_seg.weight')) return runModel(run, shapes);
    if (shapes.has('patch_embed1.proj.0.weight')) return runBackbone(run, shapes);
    if (shapes.has('ham_in.conv.weight')) return runHamburger(run, shapes);
    throw new GoldenError('parameters: expected those of a SegNeXt, a backbone or a Hamburger');
  },
};

async function runModel(run: CaseRun, shapes: ShapeTable): Promise<RunResult> {
  const image = await run.input('image');
  const [batch, , height, width] = image.shape as [number, number, number, number];
  const backbone = backboneShape(shapes, run.config, 'backbone.');
  const { compressed, ...head } = headShape(shapes, run.config);
  const rank = rankOf(run.config);
  const basesName = run.config.has('nmf_bases')
    ? string(run.config.value('nmf_bases'), 'config.nmf_bases')
    : undefined;
  const original = run.config.has('ori_shape') ? run.config.numbers('ori_shape', 2) : undefined;
  const inIndex = run.config.has('in_index') ? run.config.numbers('in_index') : [1, 2, 3];
  const inChannels = inIndex.map((index) => backbone.embedDims[index] ?? 0);
  const hamKwargs = { ...hamOptions(run), mdR: rank };
  const groups = normGroups(run);
  const options: SegNeXtOptions = {
    backbone,
    head: {
      ...run.config.rest(),
      ...head,
      inIndex,
      inChannels,
      normGroups: groups,
      hamKwargs,
      ...(compressed === undefined ? {} : { compressRatio: compressRatio(run, inChannels, compressed) }),
    },
  };
  const model = new SegNeXt(options);
  const checks = await run.load(model);
  const bases =
    basesName === undefined ? undefined : makeBases(run, basesName, batch, head.hamChannels, rank);
  const { stages, ...results } = await model.forward(
    { image, ...(bases === undefined ? {} : { nmfBases: bases }) },
    { stages: true, size: [height, width] },
  );
  const outputs: Record<string, Tensor> = named(run, { ...stages, ...results });
  const network = [height, width] as const;
  if (run.wants('argmax')) {
    const { labels } = await model.postprocess({ logits: results.logits }, { network });
    outputs.argmax = labels!;
  }
  if (original !== undefined) {
    const size = original as [number, number];
    const { labels, probabilities } = await model.postprocess(
      { logits: results.logits },
      { network, size, outputs: { labels: true, probabilities: true } },
    );
    outputs.prob_ori = probabilities!;
    outputs.argmax_ori = labels!;
  }
  return { outputs, checks };
}

async function runBackbone(run: CaseRun, shapes: ShapeTable): Promise<RunResult> {
  const backbone = new Mscan(backboneShape(shapes, run.config));
  const checks = await run.load(backbone);
  return { outputs: named(run, await backbone.forward({ image: await run.input('image') })), checks };
}

async function runHamburger(run: CaseRun, shapes: ShapeTable): Promise<RunResult> {
  const x = await run.input('x');
  const hamChannels = shapes.side('ham_in.conv.weight', 0);
  if (run.config.integer('ham_channels', hamChannels) !== hamChannels) {
    throw new GoldenError('config.ham_channels: it is not what the parameters show');
  }
  const rank = rankOf(run.config);
  const basesName = run.config.has('nmf_bases')
    ? string(run.config.value('nmf_bases'), 'config.nmf_bases')
    : undefined;
  const hamburger = new Hamburger({
    hamChannels,
    normGroups: normGroups(run),
    hamKwargs: { ...hamOptions(run), mdR: rank },
  });
  const checks = await run.load(hamburger);
  const bases =
    basesName === undefined ? undefined : makeBases(run, basesName, x.shape[0]!, hamChannels, rank);
  const result = await hamburger.forward(
    { x, ...(bases === undefined ? {} : { nmfBases: bases }) },
    { stages: true },
  );
  const { stages, ...results } = result;
  return { outputs: named(run, { ...stages, ...results }), checks };
}

/** Members of ham_kwargs, which cases write beside the other options or in an object of their own. */
function hamOptions(run: CaseRun): Record<string, number | boolean> {
  const options: Record<string, number | boolean> = {};
  if (run.config.has('eval_steps')) options.evalSteps = run.config.integer('eval_steps');
  const nested = run.config.value('ham_kwargs') ?? {};
  if (typeof nested !== 'object' || nested === null || Array.isArray(nested)) {
    throw new GoldenError('config.ham_kwargs: expected an object');
  }
  for (const [name, value] of Object.entries(nested)) {
    if (typeof value !== 'number' && typeof value !== 'boolean')
      throw new GoldenError(`config.ham_kwargs.${name}: expected a number`);
    options[camelCase(name.toLowerCase())] = value;
  }
  return options;
}

/** Groups of the norm from "GN 32" or {type: GN, num_groups: 32}. */
function normGroups(run: CaseRun): number {
  const norm = run.config.value('norm') ?? 'GN 32';
  if (typeof norm === 'object' && norm !== null && !Array.isArray(norm))
    return count(norm.num_groups, 'config.norm.num_groups');
  const match = /^GN (\d+)$/.exec(String(norm));
  if (match === null)
    throw new GoldenError(`config.norm: expected "GN" and a number of groups, got ${JSON.stringify(norm)}`);
  return Number(match[1]);
}

/** The ratio that gives the first FreqFusion, of the two coarsest levels, its compressed channels. */
function compressRatio(run: CaseRun, inChannels: readonly number[], compressed: number): number {
  const sum = array([...inChannels.slice(-2)], 'in_channels').reduce<number>(
    (total, each) => total + Number(each),
    0,
  );
  const ratio = run.config.has('compress_ratio')
    ? run.config.integer('compress_ratio')
    : Math.floor(sum / compressed);
  if (ratio < 1 || Math.floor(sum / ratio) !== compressed) {
    throw new GoldenError(`parameters: ${compressed} compressed channels are no whole part of ${sum}`);
  }
  return ratio;
}

function makeBases(run: CaseRun, name: string, batch: number, channels: number, rank: number): Tensor {
  const values = nmfBases(batch, channels, rank, run.golden.seed, name);
  return run.place({ dtype: 'float32', shape: [batch, channels, rank], data: values });
}
