import { invalidArgument } from '../errors';

/** The label of pixels that belong to no class. */
export const VOID_LABEL = 255;

/** How label files name classes: Cityscapes' labelIds, train ids as they are, or a table of one's own. */
export type LabelMapping = 'cityscapes' | 'identity' | Readonly<Record<number, number>>;

/** The 19 classes of Cityscapes' benchmark, in the order of their train ids. */
export const CITYSCAPES_CLASSES: readonly string[] = [
  'road',
  'sidewalk',
  'building',
  'wall',
  'fence',
  'pole',
  'traffic light',
  'traffic sign',
  'vegetation',
  'terrain',
  'sky',
  'person',
  'rider',
  'car',
  'truck',
  'bus',
  'train',
  'motorcycle',
  'bicycle',
];

const CITYSCAPES_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];

/**
 * A table from the 256 values that a label file can hold to class indices; a value that the map does not name is
 * void (255). Throws ERR_RANGE where an entry is no byte.
 */
export function labelTable(map: LabelMapping): Uint8Array {
  if (map === 'identity') return Uint8Array.from({ length: 256 }, (_, id) => id);
  const table = new Uint8Array(256).fill(VOID_LABEL);
  if (map === 'cityscapes') {
    CITYSCAPES_IDS.forEach((id, trainId) => {
      table[id] = trainId;
    });
    return table;
  }
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw invalidArgument(
      'ERR_TYPE',
      'labelMap',
      "'cityscapes', 'identity' or an object of id: class index",
      map,
    );
  }
  for (const [key, value] of Object.entries(map)) {
    const id = Number(key);
    if (!isByte(id) || !isByte(value)) {
      throw invalidArgument(
        'ERR_RANGE',
        'labelMap',
        'ids and class indices from 0 to 255',
        `${key}: ${value}`,
      );
    }
    table[id] = value;
  }
  return table;
}

function isByte(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255;
}
