import { type Command, Option } from 'commander';
import type { StateDictOptions } from '../checkpoint/selection';

/** Options that choose the tensors of a checkpoint. */
export interface SelectionFlags {
  at?: string;
  prefix?: string;
  ema?: boolean;
}

/** Adds --at, --prefix and --ema to a verb. */
export function addSelectionOptions(command: Command): Command {
  return command
    .addOption(new Option('--at <keys>', 'keys that lead to the state dict, joined by dots').conflicts('ema'))
    .option('--prefix <text>', 'only tensors whose names start with it, which is taken off')
    .option('--ema', 'the averaged weights instead of the trained ones');
}

/** The selection that the flags make. */
export function selectionOf({ at, prefix, ema }: SelectionFlags): StateDictOptions {
  return {
    ...(at === undefined ? {} : { at }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(ema === undefined ? {} : { ema }),
  };
}
