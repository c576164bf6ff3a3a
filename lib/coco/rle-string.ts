import { ArgumentError, describe, invalidArgument } from '../errors';
import { checkMaskSize, type Rle } from './run-lengths';

/** Run lengths as COCO's files have them: compressed into a string, or a plain list. */
export interface CocoRle {
  size: [height: number, width: number];
  counts: string;
}

/** Five bits of a number stand in each character, above 48; the sixth says that more follow. */
const FIRST = 48;
const BITS = 5;
const MORE = 1 << BITS;
const SIGN = 1 << (BITS - 1);

/** Compresses run lengths as pycocotools does: from the fourth on, the difference from the last but one is stored. */
export function toCocoRle({ size, counts }: Rle): CocoRle {
  const codes: number[] = [];
  for (let run = 0; run < counts.length; run++) {
    let rest = counts[run]! - (run > 2 ? counts[run - 2]! : 0);
    let more = true;
    while (more) {
      const low = rest & (MORE - 1);
      rest >>= BITS;
      more = rest !== ((low & SIGN) === 0 ? 0 : -1);
      codes.push(FIRST + (more ? low | MORE : low));
    }
  }
  return { size: [size[0], size[1]], counts: Buffer.from(codes).toString('latin1') };
}

/**
 * Reads run lengths from COCO's form: a compressed string (or its bytes), or a list of numbers. Throws ERR_RLE where
 * they are malformed or do not add up to the mask's size.
 */
export function fromCocoRle(rle: {
  readonly size: readonly number[];
  readonly counts: string | Uint8Array | readonly number[];
}): Rle {
  if (typeof rle !== 'object' || rle === null || !Array.isArray(rle.size) || rle.size.length !== 2) {
    throw invalidArgument('ERR_RLE', 'rle', '{ size: [height, width], counts }', rle);
  }
  const [height, width] = rle.size as [number, number];
  checkMaskSize(height, width);
  const total = height * width;
  const counts = decompressed(rle.counts, total);
  let sum = 0;
  for (const count of counts) {
    if (!Number.isSafeInteger(count) || count < 0 || count > total) {
      throw invalidArgument('ERR_RLE', 'counts', `run lengths from 0 to ${total}`, count);
    }
    sum += count;
  }
  if (sum !== total) {
    throw invalidArgument(
      'ERR_RLE',
      'counts',
      `run lengths that add up to ${height} x ${width} = ${total}`,
      sum,
    );
  }
  return { size: [height, width], counts: Uint32Array.from(counts) };
}

function decompressed(counts: string | Uint8Array | readonly number[], total: number): readonly number[] {
  if (typeof counts === 'string') return readCodes(Buffer.from(counts, 'latin1'), total);
  if (counts instanceof Uint8Array) return readCodes(counts, total);
  if (Array.isArray(counts)) return counts as readonly number[];
  throw invalidArgument('ERR_RLE', 'counts', 'a compressed string or a list of run lengths', counts);
}

function readCodes(codes: Uint8Array, total: number): number[] {
  const counts: number[] = [];
  // One more than the largest difference of two run lengths has bits.
  const widest = BITS * Math.ceil(33 / BITS);
  for (let at = 0; at < codes.length; ) {
    let value = 0;
    let shift = 0;
    let code = MORE;
    while ((code & MORE) !== 0) {
      code = (codes[at] ?? -1) - FIRST;
      if (code < 0 || code >= 2 * MORE || shift >= widest) throw malformed(codes, at);
      value += (code & (MORE - 1)) * 2 ** shift;
      shift += BITS;
      at += 1;
    }
    if ((code & SIGN) !== 0) value -= 2 ** shift;
    counts.push(counts.length > 2 ? value + counts[counts.length - 2]! : value);
    if (counts[counts.length - 1]! < 0 || counts[counts.length - 1]! > total) throw malformed(codes, at - 1);
  }
  return counts;
}

function malformed(codes: Uint8Array, at: number): ArgumentError {
  const shown = describe(Buffer.from(codes.subarray(Math.max(0, at - 8), at + 8)).toString('latin1'));
  const expected = 'a compressed string';
  return new ArgumentError(
    'ERR_RLE',
    `expected ${expected} for counts, got ${shown} around character ${at}`,
    {
      expected,
      actual: shown,
    },
  );
}
