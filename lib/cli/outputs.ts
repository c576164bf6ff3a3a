import { mkdirSync } from 'node:fs';
import { dirname, extname, join, parse, resolve, sep } from 'node:path';
import { WRITABLE_EXTENSIONS } from '../image/canvas';
import { CliError, EXIT } from './exit';
import { identityOf, statOf } from './files';
import type { ImageList } from './inputs';

/** What is written of every image by itself. */
export type OutputFormat = 'overlay' | 'labels' | 'logits' | 'json' | 'masks';

/** One image and the file (of masks: the folder) that its result goes to, or the reason why it cannot go anywhere. */
export interface PlannedOutput {
  image: string;
  output: string;
  problem?: string;
}

const EXTENSION: Readonly<Record<OutputFormat, string>> = {
  overlay: '.png',
  labels: '.png',
  logits: '.safetensors',
  json: '.json',
  masks: '',
};

/**
 * Decides where every result goes, before anything is computed: `output` is a file for one image and a folder for
 * many, where results are named as their images. No two results may share a file, and no result may replace an
 * image that is read.
 */
export function planOutputs(
  { files, open }: ImageList,
  output: string,
  format: OutputFormat,
): PlannedOutput[] {
  // What is a folder itself, as masks are, lies in another one only where there may be several.
  const places = isFolder(output) || /[\\/]$/.test(output);
  const toFolder = files.length > 1 || (open && extname(output) === '') || (format !== 'masks' && places);
  if (!toFolder) {
    checkExtension(output, format);
    return guard([{ image: files[0]!, output }], files);
  }
  if (existsAsFile(output)) {
    const why =
      files.length > 1 ? `there are ${files.length} images` : 'the images come from a folder or a pattern';
    throw new CliError(`${output} is a file, and ${why}: -o must name a folder`);
  }
  const planned = files.map((image) => ({
    image,
    output: join(output, `${parse(image).name}${EXTENSION[format]}`),
  }));
  return guard(planned, files);
}

/**
 * The same for one file that takes the results of all images, such as a COCO results file. It must end in .json, and
 * replace no image.
 */
export function planOneOutput({ files }: ImageList, output: string, format: string): PlannedOutput[] {
  if (isFolder(output))
    throw new CliError(`${output} is a folder: -o names one file with --format ${format}`);
  if (extname(output).toLowerCase() !== '.json') {
    throw new CliError(`expected a name ending in .json for -o with --format ${format}, got ${output}`);
  }
  return files.map((image) => ({ image, output }));
}

/** Says of outputs that two images would share, or that would replace an image, why they cannot be. */
export function guardOutputs(planned: readonly PlannedOutput[]): PlannedOutput[] {
  return guard(
    planned,
    planned.map(({ image }) => image),
  );
}

/** Makes the folders that the outputs lie in. */
export function makeFolders(planned: readonly PlannedOutput[]): void {
  for (const folder of new Set(planned.map((each) => dirname(each.output)))) {
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new CliError(`the folder ${folder} cannot be made (${code})`, EXIT.output, error);
    }
  }
}

function guard(planned: readonly PlannedOutput[], files: readonly string[]): PlannedOutput[] {
  const inputs = new Map(files.map((file) => [identityOf(file), file]));
  const taken = new Map<string, string>();
  return planned.map((each) => {
    const input = inputs.get(identityOf(each.output));
    if (input !== undefined)
      return { ...each, problem: `its result ${each.output} would replace the image ${input}` };
    // Compared without case: some file systems take out.PNG and out.png for one file.
    const key = resolve(each.output).toLowerCase();
    const other = taken.get(key);
    if (other !== undefined)
      return { ...each, problem: `its result ${each.output} is already the one of ${other}` };
    taken.set(key, each.image);
    return each;
  });
}

function checkExtension(output: string, format: OutputFormat): void {
  const extension = extname(output).toLowerCase();
  if (format === 'masks') {
    if (!existsAsFile(output)) return;
    throw new CliError(`${output} is a file: -o names a folder with --format masks`);
  }
  if (format === 'overlay') {
    if ((WRITABLE_EXTENSIONS as readonly string[]).includes(extension)) return;
    throw new CliError(`expected a name ending in ${WRITABLE_EXTENSIONS.join(', ')} for -o, got ${output}`);
  }
  if (extension === EXTENSION[format]) return;
  throw new CliError(
    `expected a name ending in ${EXTENSION[format]} for -o with --format ${format}, got ${output}`,
  );
}

function isFolder(path: string): boolean {
  return path.endsWith(sep) || (statOf(path)?.isDirectory() ?? false);
}

function existsAsFile(path: string): boolean {
  return statOf(path)?.isFile() ?? false;
}
