import { SEGNEXT_VARIANTS, type SegNeXtVariant } from '../../modules/segnext-variants';
import type { GoldenParameter } from '../case';
import type { Config } from '../config';
import { GoldenError } from '../error';

/** Sizes of a backbone, stage by stage. */
export interface BackboneShape {
  embedDims: number[];
  depths: number[];
  mlpRatios: number[];
  inChannels: number;
}

/** Sizes of a decode head that its parameters show. */
export interface HeadShape {
  type: 'LightHamHead' | 'LightHamHeadFreqAware';
  channels: number;
  hamChannels: number;
  numClasses: number;
  /** Channels that the first FreqFusion computes its kernels in; undefined without one. */
  compressed: number | undefined;
}

/** Shapes of parameters by name. */
export class ShapeTable {
  readonly #shapes: ReadonlyMap<string, readonly number[]>;

  constructor(parameters: readonly GoldenParameter[]) {
    this.#shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  }

  has(name: string): boolean {
    return this.#shapes.has(name);
  }

  /** One side of a parameter. Throws GoldenError where there is no such parameter. */
  side(name: string, dim: number): number {
    const side = this.#shapes.get(name)?.[dim];
    if (side === undefined) throw new GoldenError(`parameters: "${name}" is missing`);
    return side;
  }
}

/**
 * Reads a backbone's sizes off its parameters: a case may have any. What the case's options say of them must agree.
 */
export function backboneShape(shapes: ShapeTable, config: Config, prefix = ''): BackboneShape {
  const shape: BackboneShape = { embedDims: [], depths: [], mlpRatios: [], inChannels: 3 };
  shape.inChannels = shapes.side(`${prefix}patch_embed1.proj.0.weight`, 1);
  for (let stage = 1; stage === 1 || shapes.has(`${prefix}patch_embed${stage}.proj.weight`); stage += 1) {
    const width = shapes.side(`${prefix}patch_embed${stage}.proj${stage === 1 ? '.3' : ''}.weight`, 0);
    let depth = 0;
    while (shapes.has(`${prefix}block${stage}.${depth}.layer_scale_1`)) depth += 1;
    shape.embedDims.push(width);
    shape.depths.push(depth);
    shape.mlpRatios.push(shapes.side(`${prefix}block${stage}.0.mlp.fc1.weight`, 0) / width);
  }
  agree(config, 'embed_dims', shape.embedDims);
  agree(config, 'depths', shape.depths);
  agree(config, 'mlp_ratios', shape.mlpRatios);
  const variant = variantOf(config);
  // Options that change a published backbone's sizes go before its name.
  if (variant !== undefined && !config.has('embed_dims') && !config.has('depths')) {
    const { embedDims, depths } = SEGNEXT_VARIANTS[variant].backbone ?? {};
    if (String(embedDims) !== String(shape.embedDims) || String(depths) !== String(shape.depths)) {
      throw new GoldenError(`parameters: they are not those of the ${variant} backbone`);
    }
  }
  return shape;
}

/** Reads a decode head's sizes off its parameters. */
export function headShape(shapes: ShapeTable, config: Config, prefix = 'decode_head.'): HeadShape {
  const fused = `${prefix}freqfusions.0.hr_channel_compressor.weight`;
  const shape: HeadShape = {
    type: shapes.has(fused) ? 'LightHamHeadFreqAware' : 'LightHamHead',
    channels: shapes.side(`${prefix}conv_seg.weight`, 1),
    hamChannels: shapes.side(`${prefix}squeeze.conv.weight`, 0),
    numClasses: shapes.side(`${prefix}conv_seg.weight`, 0),
    compressed: shapes.has(fused) ? shapes.side(fused, 0) : undefined,
  };
  const type = config.choice('type', ['LightHamHead', 'LightHamHeadFreqAware'], shape.type);
  if (type !== shape.type) throw new GoldenError(`parameters: they are not those of a ${type}`);
  agree(config, 'num_classes', shape.numClasses);
  agree(config, 'channels', shape.channels);
  agree(config, 'ham_channels', shape.hamChannels);
  return shape;
}

/** Rank of the factorisation: no parameter shows it. */
export function rankOf(config: Config): number {
  const variant = variantOf(config);
  return config.integer(
    'MD_R',
    (variant === undefined ? undefined : SEGNEXT_VARIANTS[variant].head?.hamKwargs?.mdR) ?? 16,
  );
}

/** The published backbone that the options name, by its letter or in a config file's name. */
function variantOf(config: Config): SegNeXtVariant | undefined {
  const names = Object.keys(SEGNEXT_VARIANTS) as SegNeXtVariant[];
  const file = config.value('config');
  if (config.has('variant')) {
    const word = config.choice('variant', [...names, 't', 's', 'b', 'l']);
    return names.find((name) => name.startsWith(word));
  }
  return typeof file === 'string' ? names.find((name) => file.split(/[._]/).includes(name)) : undefined;
}

function agree(config: Config, name: string, actual: number | readonly number[]): void {
  const expected = config.value(name);
  if (expected === undefined || JSON.stringify(expected) === JSON.stringify(actual)) return;
  throw new GoldenError(
    `config.${name}: it says ${JSON.stringify(expected)}, the parameters ${JSON.stringify(actual)}`,
  );
}
