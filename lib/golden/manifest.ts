import { readFileSync } from 'node:fs';
import { resolveArchitecture } from '../models/architectures';
import { DETECTORS } from '../models/detector-architectures';
import { makeDetector } from '../models/load-detector';
import type { Module } from '../modules/module';
import { SegNeXt } from '../modules/segnext';
import { array, count, object, string } from './case';
import { GoldenError } from './error';
import { parseJson } from './json';
import { reason } from './verify';

/** What became of a list of parameters: right, wrong, or of a model that the package does not have. */
export interface ManifestOutcome {
  status: 'right' | 'wrong' | 'unknown';
  detail: string;
}

/** The published segmentation models, by the names of their lists; a detector's list has the name of its architecture. */
const SEGMENTATION_MODELS: Readonly<Record<string, string>> = {
  segnext_mscan_t_freqfusion: 'segnext-tiny-freqfusion',
};

/** The model that a list is of, its weights not set; undefined where the package has none. */
async function modelOf(name: string): Promise<Module | undefined> {
  const architecture = SEGMENTATION_MODELS[name];
  if (architecture !== undefined) {
    const { config } = await resolveArchitecture(architecture);
    return new SegNeXt(config.network.options);
  }
  for (const config of DETECTORS.published()) {
    if (config.name === name.replaceAll('_', '-')) return makeDetector(config);
  }
  return undefined;
}

/**
 * Compares a published model's list of parameters with the same model built here: names, shapes, element types, kinds
 * and order of the state dict, and the number of parameters. Never throws.
 */
export async function checkManifest(file: string): Promise<ManifestOutcome> {
  try {
    const list = object(parseJson(readFileSync(file, 'utf8')), 'the list');
    const name = list.model === undefined ? '' : string(list.model, 'model');
    using model = await modelOf(name);
    if (model === undefined)
      return { status: 'unknown', detail: `no model of the name "${name}" to compare with` };
    const have = model.stateInfo();
    const want = array(list.state_dict, 'state_dict').map((entry, i) =>
      describeEntry(object(entry, `state_dict[${i}]`)),
    );
    const at = Array.from({ length: Math.max(have.length, want.length) }).findIndex((_, i) => {
      const info = have[i];
      return info === undefined || want[i] !== describeEntry({ ...info });
    });
    if (at >= 0) {
      const got = have[at] === undefined ? 'no more entries' : describeEntry({ ...have[at] });
      return {
        status: 'wrong',
        detail: `entry ${at}: expected ${want[at] ?? 'no more entries'}, got ${got}`,
      };
    }
    if (list.total_parameters !== undefined) {
      const total = count(list.total_parameters, 'total_parameters');
      if (total !== model.parameterCount) {
        return { status: 'wrong', detail: `expected ${total} parameters, got ${model.parameterCount}` };
      }
    }
    return { status: 'right', detail: `${have.length} entries, ${model.parameterCount} parameters` };
  } catch (error) {
    return { status: 'wrong', detail: error instanceof GoldenError ? error.message : reason(error) };
  }
}

function describeEntry(entry: { [key: string]: unknown }): string {
  const { name, shape, dtype, kind } = entry;
  return `${String(kind)} ${String(name)} [${Array.isArray(shape) ? shape.join(', ') : ''}] ${String(dtype)}`;
}
