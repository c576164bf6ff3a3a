import { Checkpoint } from '../../checkpoint/checkpoint';
import { FreqFusion } from '../../modules/freqfusion';
import { BORDERS } from '../../ops/carafe';
import { array, object, parseTolerance, shape, string } from '../case';
import { compare, PRECISION } from '../compare';
import { GoldenError } from '../error';
import { type CaseRun, type Check, toHost } from '../run';
import { readStored } from '../store';
import { uniform } from '../synth';

/**
 * Loads the FreqFusion of a checkpoint and runs it with both borders: the file's weights, end to end, against outputs
 * of the reference.
 */
export async function checkForward(run: CaseRun, file: string): Promise<Check[]> {
  const { folder, extra, seed } = run.golden;
  const forward = object(extra.forward, 'forward');
  const tolerance = parseTolerance(forward.tolerance, 'forward.tolerance');
  const stored = await readStored(folder, string(forward.file, 'forward.file'));
  const inputs = array(forward.inputs, 'forward.inputs').map((value) => {
    const entry = object(value, 'forward.inputs');
    const name = string(entry.name, 'forward.inputs.name');
    const sides = shape(entry.shape, 'forward.inputs.shape');
    const [low, high] = array(entry.range, 'forward.inputs.range').map(Number) as [number, number];
    return [
      name,
      run.place({ dtype: 'float32', shape: sides, data: uniform(`input/${name}`, sides, low, high, seed) }),
    ] as const;
  });
  const given = Object.fromEntries(inputs);
  if (given.hr_feat === undefined || given.lr_feat === undefined) {
    throw new GoldenError('forward.inputs: expected hr_feat and lr_feat');
  }
  const options = modelOptions(run.config.value('model'));
  const checks: Check[] = [];
  const checkpoint = await Checkpoint.open(file);
  try {
    for (const border of BORDERS) {
      using module = new FreqFusion({ ...options, border });
      await module.loadStateDict(checkpoint.stateDict(), { strict: true });
      await module.to({ dtype: run.target.dtype, device: run.target.device });
      const { maskLr, hrFeat, lrFeat } = await module.forward({
        hrFeat: given.hr_feat,
        lrFeat: given.lr_feat,
      });
      for (const [name, value] of Object.entries({ mask_lr: maskLr, hr_feat: hrFeat, lr_feat: lrFeat })) {
        const want = stored.get(`${border}_${name}`);
        if (want === undefined) throw new GoldenError(`forward.safetensors: "${border}_${name}" is missing`);
        const expected = {
          name: `forward: ${border}_${name}`,
          shape: [...want.shape],
          storedShape: [...want.shape],
          tolerance,
        };
        const { ok, error, allowed, detail } = compare(
          expected,
          want,
          await toHost(value),
          PRECISION[run.target.dtype],
        );
        const measure = `error ${error.toExponential(1)} of ${allowed.toExponential(1)} allowed`;
        checks.push({ name: expected.name, ok, detail: detail === '' ? measure : `${measure} (${detail})` });
      }
    }
  } finally {
    checkpoint.close();
  }
  return checks;
}

/** Reads "FreqFusion(hr_channels=16, lr_channels=16, ...), ..." into options. */
function modelOptions(model: unknown): { hrChannels: number; lrChannels: number; [name: string]: number } {
  const call = /^FreqFusion\(([^)]*)\)/.exec(String(model));
  const members = call?.[1]?.matchAll(/(\w+)\s*=\s*(\d+)/g) ?? [];
  const options = Object.fromEntries(
    [...members].map(([, name, value]) => [
      name!.replace(/_(\w)/g, (_match, letter: string) => letter.toUpperCase()),
      Number(value),
    ]),
  );
  if (options.hrChannels === undefined || options.lrChannels === undefined) {
    throw new GoldenError('config.model: expected "FreqFusion(hr_channels=N, lr_channels=N, ...)"');
  }
  return { ...options, hrChannels: options.hrChannels, lrChannels: options.lrChannels };
}
