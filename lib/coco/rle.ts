/** Binary masks as run lengths, in COCO's conventions: the same masks, numbers and strings as pycocotools. */
export { boxIou, rleIntersection, rleIou } from './iou';
export { rleFromBox, rleFromPolygon, rleFromPolygons } from './polygon';
export { type CocoRle, fromCocoRle, toCocoRle } from './rle-string';
export { type CocoBox, decodeRle, encodeRle, mergeRles, type Rle, rleArea, rleBox } from './run-lengths';
