import { type Command, Option } from 'commander';
import { Checkpoint } from '../checkpoint/checkpoint';
import type { SaveOptions } from '../checkpoint/save';
import { addSelectionOptions, type SelectionFlags, selectionOf } from './checkpoint-options';
import { CliError, EXIT } from './exit';
import { identityOf } from './files';
import { bytes, print, printJson } from './output';

interface ConvertFlags extends SelectionFlags {
  dtype?: NonNullable<SaveOptions['dtype']>;
  json?: boolean;
}

/** Adds the verb `convert`. */
export function addConvert(program: Command): void {
  const command = program
    .command('convert')
    .description('Write the weights of a checkpoint as a safetensors file.')
    .argument('<input>', 'a .pth, .pt, .pkl or .safetensors file')
    .argument('<output>', 'the safetensors file to write')
    .addOption(
      new Option('--dtype <dtype>', 'convert floating-point tensors').choices([
        'float32',
        'float64',
        'float16',
        'bfloat16',
      ]),
    )
    .option('--json', 'print the result as JSON');
  addSelectionOptions(command)
    .addHelpText(
      'after',
      `
Without --at, --prefix or --ema every tensor of the state dict keeps the name that it has in the file.

Examples:
  $ freqfusion convert model.pth model.safetensors
  $ freqfusion convert training.pth head.safetensors --prefix decode_head. --dtype float16`,
    )
    .action(convert);
}

async function convert(input: string, output: string, flags: ConvertFlags): Promise<void> {
  if (!output.toLowerCase().endsWith('.safetensors')) {
    throw new CliError(`expected a name ending in .safetensors for the output, got ${output}`);
  }
  if (identityOf(input) === identityOf(output))
    throw new CliError(`${output} is the file that is read: choose another name`);
  const checkpoint = await Checkpoint.open(input);
  try {
    const selection = selectionOf(flags);
    const chosen = Object.keys(selection).length > 0;
    const tensors = checkpoint.stateDict({ ...selection, raw: !chosen }).size;
    const written = await save(checkpoint, output, {
      ...selection,
      ...(flags.dtype === undefined ? {} : { dtype: flags.dtype }),
    });
    const { format } = checkpoint;
    if (flags.json === true) printJson({ input, format, output, tensors, bytes: written });
    else print(`wrote ${output}: ${tensors} tensors, ${bytes(written)} (from ${format})`);
  } finally {
    checkpoint.close();
  }
}

async function save(
  checkpoint: Checkpoint,
  output: string,
  options: Parameters<Checkpoint['save']>[1],
): Promise<number> {
  try {
    return await checkpoint.save(output, options);
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    throw new CliError(
      `${output} cannot be written: ${code === 'ENOENT' ? 'its folder does not exist' : code}`,
      EXIT.output,
      error,
    );
  }
}
