import type { OptionRecord } from '../binding';
import { type JobOptions, runJob } from '../jobs';
import { native } from '../native';
import { Tensor } from '../tensor';

/** Runs a native operator on tensors that its wrapper has checked, and wraps what it returns. */
export async function runOperator<Output extends string>(
  name: string,
  inputs: Readonly<Record<string, Tensor>>,
  options: OptionRecord,
  { signal }: JobOptions = {},
): Promise<Record<Output, Tensor>> {
  const handles = Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, value.handle]));
  const outputs = await runJob(
    signal,
    (job) => native().runOperator(name, handles, options, job),
    (late) => {
      for (const handle of Object.values(late)) native().tensorDispose(handle);
    },
  );
  return Object.fromEntries(
    Object.entries(outputs).map(([key, handle]) => [key, new Tensor(handle)]),
  ) as Record<Output, Tensor>;
}
