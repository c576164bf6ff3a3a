import { type Command, Option } from 'commander';
import { setThreads } from '../device';
import type { DetectionModel } from '../models/detection-model';
import { type LoadModelOptions, loadModel } from '../models/load';
import { loadDetector } from '../models/load-detector';
import type { SegmentationModel } from '../models/segmentation-model';
import { addComputeOptions, type ComputeOptions, integer } from './options';

/** Options of every verb that loads a detector, and of those that load another model. */
export interface DetectorFlags extends ComputeOptions {
  checkpoint?: string;
  architecture?: string;
  border?: 'zeros' | 'reflect';
  ema?: boolean;
  cudaGraph?: boolean;
}

/** Options of verbs that load a segmentation model. */
export interface ModelFlags extends DetectorFlags {
  nmfSeed?: number;
}

/** Adds --checkpoint, --architecture and what else says which model computes. */
export function addWeightOptions(command: Command, bundled: string): Command {
  return command
    .option('--checkpoint <file>', `a .pth, .pt or .safetensors file (default: ${bundled})`)
    .option('--architecture <name>', 'name or config.json of the network (default: told from the checkpoint)')
    .addOption(
      new Option('--border <rule>', 'what CARAFE reads outside a map (default: zeros)').choices([
        'zeros',
        'reflect',
      ]),
    )
    .option('--ema', 'use the averaged weights of the checkpoint');
}

/** Adds --cuda-graph. */
export function addGraphOption(command: Command): Command {
  return command.option(
    '--cuda-graph',
    'capture the network in a CUDA graph for each size of image (--device cuda)',
  );
}

function addCheckpointOptions(command: Command, bundled: string): Command {
  return addComputeOptions(addGraphOption(addWeightOptions(command, bundled)));
}

/** Adds the options of a segmentation model. */
export function addModelOptions(command: Command, bundled = 'the bundled page layout model'): Command {
  return addSeedOption(addCheckpointOptions(command, bundled));
}

/** Adds --nmf-seed. */
export function addSeedOption(command: Command): Command {
  return command.option(
    '--nmf-seed <seed>',
    "seed of the Hamburger's bases, which the reference draws anew every time",
    integer(0),
  );
}

/** Adds the options of a detector. */
export function addDetectorOptions(command: Command): Command {
  return addCheckpointOptions(command, 'the bundled detector of shapes');
}

/** Loads the segmentation model that the flags name. */
export async function modelFrom(flags: ModelFlags): Promise<SegmentationModel> {
  const options: LoadModelOptions = loadOptions(flags);
  if (flags.nmfSeed !== undefined) options.nmfSeed = flags.nmfSeed;
  return loadModel(flags.checkpoint, options);
}

/** Loads the detector that the flags name. */
export async function detectorFrom(flags: DetectorFlags): Promise<DetectionModel> {
  return loadDetector(flags.checkpoint, loadOptions(flags));
}

function loadOptions(flags: DetectorFlags) {
  if (flags.threads !== undefined) setThreads(flags.threads);
  const { device, dtype, architecture, border, ema, cudaGraph } = flags;
  return {
    device,
    dtype,
    ...(architecture !== undefined && { architecture }),
    ...(border !== undefined && { border }),
    ...(ema !== undefined && { ema }),
    ...(cudaGraph !== undefined && { cudaGraph }),
  };
}
