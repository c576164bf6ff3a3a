import { type Command, Option } from 'commander';
import { setThreads } from '../device';
import { type LoadModelOptions, loadModel } from '../models/load';
import type { SegmentationModel } from '../models/segmentation-model';
import { addComputeOptions, type ComputeOptions, integer } from './options';

/** Options of every verb that loads a model. */
export interface ModelFlags extends ComputeOptions {
  checkpoint?: string;
  architecture?: string;
  border?: 'zeros' | 'reflect';
  ema?: boolean;
  nmfSeed?: number;
  cudaGraph?: boolean;
}

/** Adds --checkpoint, --architecture and what else says which model computes, and where. */
export function addModelOptions(command: Command): Command {
  command
    .option(
      '--checkpoint <file>',
      'a .pth, .pt or .safetensors file (default: the bundled page layout model)',
    )
    .option('--architecture <name>', 'name or config.json of the network (default: told from the checkpoint)')
    .addOption(
      new Option('--border <rule>', 'what CARAFE reads outside a map (default: zeros)').choices([
        'zeros',
        'reflect',
      ]),
    )
    .option('--ema', 'use the averaged weights of the checkpoint')
    .option(
      '--nmf-seed <seed>',
      "seed of the Hamburger's bases, which the reference draws anew every time",
      integer(0),
    )
    .option('--cuda-graph', 'capture the network in a CUDA graph for each size of image (--device cuda)');
  return addComputeOptions(command);
}

/** Loads the model that the flags name. */
export async function modelFrom(flags: ModelFlags): Promise<SegmentationModel> {
  if (flags.threads !== undefined) setThreads(flags.threads);
  const options: LoadModelOptions = { device: flags.device, dtype: flags.dtype };
  if (flags.architecture !== undefined) options.architecture = flags.architecture;
  if (flags.border !== undefined) options.border = flags.border;
  if (flags.ema !== undefined) options.ema = flags.ema;
  if (flags.nmfSeed !== undefined) options.nmfSeed = flags.nmfSeed;
  if (flags.cudaGraph !== undefined) options.cudaGraph = flags.cudaGraph;
  return loadModel(flags.checkpoint, options);
}
