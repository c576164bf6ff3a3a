import { invalidArgument } from '../errors';
import { MAX_SEGMENT_ID } from './panoptic-png';
import type { CocoBox } from './run-lengths';

/** A segment of a panoptic map, as COCO's `segments_info` has it. */
export interface SegmentInfo {
  /** The id of its pixels in the PNG. */
  id: number;
  category_id: number;
  /** Number of its pixels. */
  area: number;
  bbox: CocoBox;
  iscrowd: 0 | 1;
  isthing: 0 | 1;
}

/** What is needed of a class: a {@link CocoClass} is one. */
export interface PanopticClass {
  readonly id: number;
  readonly isThing: boolean;
}

/** A model's panoptic map in COCO's form. */
export interface PanopticSegments {
  /** Ids of the pixels, row-major; 0 where no segment is. */
  readonly ids: Int32Array;
  /** The segments in the order of their ids. */
  readonly segments: SegmentInfo[];
}

/** What a model adds to a label for every instance. */
const INSTANCE_STEP = 1000;

/**
 * Turns a model's panoptic map (label + 1000 x instance number, void = number of classes) into segment ids and
 * `segments_info`. The ids are the model's own, void becomes 0. Throws ERR_LABEL_VALUE for a label that is no class.
 */
export function panopticSegments(
  map: Int32Array,
  width: number,
  height: number,
  classes: readonly PanopticClass[],
): PanopticSegments {
  if (map.length !== width * height) {
    throw invalidArgument('ERR_SHAPE', 'map', `${width} x ${height} values`, map.length);
  }
  const ids = new Int32Array(map.length);
  const found = new Map<number, Extent>();
  let current = -1;
  let extent: Extent | undefined;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const value = map[at]!;
      if (value !== current) {
        current = value;
        extent = extentOf(found, value, classes.length);
      }
      if (extent === undefined) continue;
      ids[at] = extent.id;
      extent.area += 1;
      extent.left = Math.min(extent.left, x);
      extent.right = Math.max(extent.right, x);
      extent.top = Math.min(extent.top, y);
      extent.bottom = y;
    }
  }
  const sorted = [...found.values()].sort((a, b) => a.id - b.id);
  return { ids, segments: sorted.map((each) => infoOf(each, classes[each.label]!)) };
}

interface Extent {
  readonly id: number;
  readonly label: number;
  area: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function extentOf(found: Map<number, Extent>, value: number, classes: number): Extent | undefined {
  const label = value % INSTANCE_STEP;
  if (label === classes) return undefined;
  if (label < 0 || label > classes) {
    throw invalidArgument('ERR_LABEL_VALUE', 'map', `labels from 0 to ${classes}`, value);
  }
  let extent = found.get(value);
  if (extent === undefined) {
    // The first class without an instance number would have the id of no segment at all.
    const id = value === 0 ? MAX_SEGMENT_ID : value;
    extent = { id, label, area: 0, left: Infinity, right: -1, top: Infinity, bottom: -1 };
    found.set(value, extent);
  }
  return extent;
}

function infoOf(
  { id, area, left, right, top, bottom }: Extent,
  { id: category, isThing }: PanopticClass,
): SegmentInfo {
  return {
    id,
    category_id: category,
    area,
    bbox: [left, top, right - left + 1, bottom - top + 1],
    iscrowd: 0,
    isthing: isThing ? 1 : 0,
  };
}
