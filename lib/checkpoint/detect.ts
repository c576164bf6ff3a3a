import { refuse } from './codes';
import type { CheckpointFormat } from './contents';
import type { ByteSource } from './source';
import { startsAsLegacy } from './torch-legacy';

/** Beginnings of files that people take for checkpoints, and what they are. */
const OTHERS: readonly (readonly [string, string])[] = [
  ['\x1f\x8b', 'a gzip file: unpack it first'],
  ['BZh', 'a bzip2 file: unpack it first'],
  ['\xfd7zXZ', 'an xz file: unpack it first'],
  ['7z\xbc\xaf', 'a 7-Zip archive: unpack it first'],
  ['Rar!', 'a RAR archive: unpack it first'],
  ['\x89HDF', 'an HDF5 file (Keras or PyTables)'],
  ['\x93NUMPY', 'a single NumPy array (.npy)'],
  ['GGUF', 'a GGUF file (llama.cpp)'],
  ['ustar', 'a tar archive'],
];

/** Tells the format by the first bytes; a file's extension only decides between a pickle and a broken safetensors. */
export function detectFormat(source: ByteSource): CheckpointFormat {
  if (source.size === 0) refuse('ERR_CHECKPOINT_EMPTY', 'the file', 'a checkpoint', 'an empty file');
  const head = Buffer.from(source.view(0, Math.min(source.size, 512)));
  const text = head.toString('latin1');
  if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) return 'torch-zip';
  if (startsAsLegacy(head)) return 'torch-legacy';
  if (text.startsWith('version https://git-lfs')) {
    const way = 'Fetch the file itself with "git lfs pull", or download it from the site';
    refuse('ERR_CHECKPOINT_LFS_POINTER', 'the file', 'a checkpoint', 'a Git LFS pointer', way);
  }
  if (/^(\xef\xbb\xbf)?\s*<([a-z]|!doctype|!--|\?xml)/i.test(text)) {
    const way = 'The download gave an error or a login page: open its address in a browser';
    refuse('ERR_CHECKPOINT_HTML', 'the file', 'a checkpoint', 'a web page (HTML or XML)', way);
  }
  if (text[8] === '{' || source.name.endsWith('.safetensors')) return 'safetensors';
  if (looksLikePickle(text)) return 'pickle-numpy';
  const known = OTHERS.find(([start]) => text.startsWith(start));
  const actual = known?.[1] ?? `a file that begins ${hex(head)}`;
  const expected = 'a PyTorch file, a detectron2 .pkl or a safetensors file';
  return refuse('ERR_CHECKPOINT_FORMAT', 'the file', expected, actual);
}

/** PROTO of version 2 to 5 (an absurd one is refused by the reader), or how the text protocols begin a dict. */
function looksLikePickle(text: string): boolean {
  if (text[0] === '\x80') return true;
  return /^(\((d|l|t|i|c)|[}\]][q.(p]|c[A-Za-z_][\w.]*\n[A-Za-z_])/.test(text);
}

function hex(head: Buffer): string {
  return head.length === 0 ? '' : `0x${head.subarray(0, 8).toString('hex')}`;
}
