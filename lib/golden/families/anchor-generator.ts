import { baseAnchors, gridAnchors, octaveScales } from '../../ops/anchors';
import type { Tensor } from '../../tensor';
import type { Config } from '../config';
import { GoldenError } from '../error';
import type { FamilyRunner } from '../run';

/** The anchors of every level: of one cell, and of the whole map. */
export const anchorGeneratorFamily: FamilyRunner = {
  family: 'anchor_generator',
  async run(run) {
    run.config.choice('type', ['AnchorGenerator']);
    const strides = pairs(run.config, 'strides');
    const sizes = pairs(run.config, 'featmap_sizes');
    const bases = run.config.has('base_sizes')
      ? run.config.numbers('base_sizes', strides.length)
      : strides.map(([x, y]) => Math.min(x, y));
    const options = {
      scales: run.config.has('scales')
        ? run.config.numbers('scales')
        : octaveScales(run.config.number('octave_base_scale'), run.config.integer('scales_per_octave')),
      ratios: run.config.numbers('ratios'),
      scaleMajor: run.config.boolean('scale_major', true),
      centerOffset: run.config.number('center_offset', 0),
    };
    const outputs: Record<string, Tensor> = {};
    for (const [level, stride] of strides.entries()) {
      const base = await baseAnchors({ ...options, baseSize: bases[level]! });
      const [height, width] = sizes[level]!;
      outputs[`base_${level}`] = base;
      outputs[`grid_${level}`] = await gridAnchors(base, { height, width, stride });
    }
    return { outputs };
  },
};

/** A list of numbers or of pairs of numbers, as pairs. */
function pairs(config: Config, name: string): [number, number][] {
  const value = config.value(name);
  const list = Array.isArray(value) ? value : [];
  const made = list.map((each): [number, number] => {
    const [first, second] = Array.isArray(each) ? each : [each, each];
    if (typeof first !== 'number' || typeof second !== 'number')
      throw new GoldenError(`config.${name}: expected numbers or pairs of numbers`);
    return [first, second];
  });
  if (made.length === 0) throw new GoldenError(`config.${name}: expected a list of some numbers`);
  return made;
}
