import { readdir, realpath } from 'node:fs/promises';
import { extname, isAbsolute, join } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { CliError, EXIT } from './exit';
import { statOf } from './files';

const IMAGE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.gif', '.avif']);

/** The images that the arguments of a verb stand for. */
export interface ImageList {
  files: string[];
  /** Whether an argument was a folder or a pattern, so that another run may find another number of images. */
  open: boolean;
}

/**
 * Expands files, folders (their images, not those of folders within) and glob patterns into image files, each once,
 * in the order of the arguments and by name within each. A name that exists is never read as a pattern.
 */
export async function listImages(args: readonly string[]): Promise<ImageList> {
  const files: string[] = [];
  const seen = new Set<string>();
  let open = false;
  for (const arg of args) {
    const stats = statOf(arg);
    const found = stats?.isDirectory()
      ? await imagesIn(arg)
      : stats === undefined
        ? await matches(arg)
        : [arg];
    open ||= stats === undefined || stats.isDirectory();
    for (const file of found) {
      const real = await realpath(file);
      if (seen.has(real)) continue;
      seen.add(real);
      files.push(file);
    }
  }
  return { files, open };
}

async function imagesIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder))
    .filter((name) => IMAGE_EXTENSIONS.has(extname(name).toLowerCase()))
    .sort();
  const files = names.map((name) => join(folder, name)).filter((file) => statOf(file)?.isFile());
  if (files.length === 0) throw new CliError(`the folder ${folder} holds no images`, EXIT.input);
  return files;
}

async function matches(pattern: string): Promise<string[]> {
  if (!isDynamicPattern(pattern)) throw new CliError(`there is no file ${pattern}`, EXIT.input);
  // Patterns use forward slashes; a folder that a pattern matches is not walked into.
  const found = await glob(pattern, {
    onlyFiles: true,
    expandDirectories: false,
    absolute: isAbsolute(pattern),
  });
  const images = found.filter((file) => IMAGE_EXTENSIONS.has(extname(file).toLowerCase())).sort();
  if (images.length === 0) throw new CliError(`no image matches ${pattern}`, EXIT.input);
  return images;
}
