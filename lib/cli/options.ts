import { type Command, InvalidArgumentError, Option } from 'commander';
import { FLOATING } from '../check';
import { checkDevice, type Device } from '../device';
import type { DType } from '../dtype';

/** Options that every computing verb has. */
export interface ComputeOptions {
  device: Device;
  dtype: DType;
  threads?: number;
}

/** Adds --device, --dtype and --threads to a verb. */
export function addComputeOptions(command: Command): Command {
  return addThreadsOption(addDTypeOption(addDeviceOption(command)));
}

/** Adds --device. */
export function addDeviceOption(command: Command): Command {
  return command.addOption(
    new Option('--device <device>', 'where to compute: cpu, cuda or cuda:N')
      .default('cpu')
      .argParser(parseDevice),
  );
}

/** Adds --dtype. */
export function addDTypeOption(command: Command): Command {
  return command.addOption(
    new Option('--dtype <dtype>', 'element type to compute in').choices(FLOATING).default('float32'),
  );
}

/** Adds --threads. */
export function addThreadsOption(command: Command): Command {
  return command.addOption(
    new Option('--threads <count>', 'CPU threads of one job (default: one per core)').argParser(
      integer(1, 1024),
    ),
  );
}

/** Parses a device. */
export function parseDevice(value: string): Device {
  try {
    return checkDevice(value);
  } catch {
    throw new InvalidArgumentError('Expected cpu, cuda or cuda:N.');
  }
}

/** Makes a parser of integers between two bounds. */
export function integer(low: number, high = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (/^[+-]?\d+(e\d+)?$/i.test(value) && Number.isSafeInteger(number) && number >= low && number <= high)
      return number;
    throw new InvalidArgumentError(
      high === Number.MAX_SAFE_INTEGER
        ? `Expected an integer from ${low}.`
        : `Expected an integer from ${low} to ${high}.`,
    );
  };
}

/** Makes a parser of numbers between two bounds. */
export function number(low: number, high: number): (value: string) => number {
  return (value) => {
    const parsed = Number(value);
    if (value.trim() !== '' && parsed >= low && parsed <= high) return parsed;
    throw new InvalidArgumentError(`Expected a number from ${low} to ${high}.`);
  };
}

/** Parses "512" or "256x512" (height x width) into two sides. */
export function parseSize(value: string): [height: number, width: number] {
  const match = /^(\d{1,5})(?:[x,](\d{1,5}))?$/.exec(value);
  const height = Number(match?.[1]);
  const width = Number(match?.[2] ?? match?.[1]);
  if (match === null || height < 1 || width < 1) {
    throw new InvalidArgumentError('Expected a side in pixels, or HEIGHTxWIDTH.');
  }
  return [height, width];
}
