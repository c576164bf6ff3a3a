import type {
  DetectorOptions,
  DetectorTestOptions,
  PanopticTestOptions,
  RcnnTestOptions,
  RoiHeadOptions,
  RpnTestOptions,
} from '../../modules/detector-options';
import type { ImageMeta } from '../../modules/image-meta';
import { boolean, count, finite, type JsonObject, object } from '../case';
import type { Config } from '../config';
import { GoldenError } from '../error';
import type { JsonValue } from '../json';
import type { ShapeTable } from './segnext-shape';

/** Blocks of each stage, by what the depth is called. */
const DEPTHS = { 18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3] } as const;

/** Reads a detector's options off its parameters. */
export function detectorShape(shapes: ShapeTable): DetectorOptions {
  const blocks = [1, 2, 3, 4].map((stage) => {
    let depth = 0;
    while (shapes.has(`backbone.layer${stage}.${depth}.conv1.weight`)) depth += 1;
    return depth;
  });
  const bottleneck = shapes.has('backbone.layer1.0.conv3.weight');
  const depth = ([18, 34, 50, 101] as const).find(
    (each) => String(DEPTHS[each]) === String(blocks) && each >= 50 === bottleneck,
  );
  if (depth === undefined) throw new GoldenError(`parameters: no ResNet has ${blocks.join(', ')} blocks`);
  const offsets = 'neck.alignment.0.dysampler.offset.weight';
  return {
    backbone: { depth, baseChannels: shapes.side('backbone.conv1.weight', 0) },
    neck: {
      outChannels: shapes.side('neck.lateral_convs.0.conv.weight', 0),
      featureResampleGroup: shapes.side(offsets, 0) / 8,
      featureResampleNorm: shapes.has('neck.alignment.0.dysampler.norm_hr.weight'),
    },
    roiHead: roiHeadShape(shapes),
  };
}

/** Reads a RoI head's options off its parameters; a mask head is there where its parameters are. */
export function roiHeadShape(shapes: ShapeTable): RoiHeadOptions {
  const numClasses = shapes.side('roi_head.bbox_head.fc_cls.bias', 0) - 1;
  const fcOutChannels = shapes.side('roi_head.bbox_head.shared_fcs.0.weight', 0);
  const masks = shapes.has('roi_head.mask_head.conv_logits.weight');
  return { bboxHead: { numClasses, fcOutChannels }, ...(masks && { maskHead: { numClasses } }) };
}

/** Where the image lies in the network's input. */
export function imageMeta(config: Config): Required<ImageMeta> {
  const imgShape = sides(config, 'img_shape');
  const oriShape = config.has('ori_shape') ? sides(config, 'ori_shape') : imgShape;
  const scaleFactor = config.has('scale_factor') ? config.numbers('scale_factor', 4).slice(0, 2) : [1, 1];
  return { imgShape, oriShape, scaleFactor };
}

/** Height and width of an option [height, width, 3]. */
export function sides(config: Config, name: string): [number, number] {
  return config.numbers(name, 3).slice(0, 2) as [number, number];
}

/** The test settings of a whole detector. */
export function detectorTest(value: JsonValue | undefined): DetectorTestOptions {
  const { rpn, rcnn, panoptic, ...rest } = object(value, 'config.test_cfg');
  none(rest, 'config.test_cfg');
  return {
    rpn: rpnTest(rpn),
    rcnn: rcnnTest(rcnn),
    ...(panoptic !== undefined && { panoptic: panopticTest(panoptic) }),
  };
}

/** The test settings of an RPN, in the reference's names. */
export function rpnTest(value: JsonValue | undefined): RpnTestOptions {
  const { nms_pre, max_per_img, nms, min_bbox_size, ...rest } = object(value, 'test_cfg.rpn');
  none(rest, 'test_cfg.rpn');
  const { nmsIouThreshold } = nmsTest(nms);
  return {
    nmsPre: count(nms_pre, 'nms_pre'),
    maxPerImg: count(max_per_img, 'max_per_img'),
    minBboxSize: finite(min_bbox_size, 'min_bbox_size'),
    nmsIouThreshold,
  };
}

/** The test settings of a RoI head, in the reference's names. */
export function rcnnTest(value: JsonValue | undefined): RcnnTestOptions {
  const { score_thr, max_per_img, nms, mask_thr_binary, ...rest } = object(value, 'test_cfg.rcnn');
  none(rest, 'test_cfg.rcnn');
  return {
    scoreThr: finite(score_thr, 'score_thr'),
    maxPerImg: count(max_per_img, 'max_per_img'),
    ...nmsTest(nms),
    ...(mask_thr_binary !== undefined && { maskThrBinary: finite(mask_thr_binary, 'mask_thr_binary') }),
  };
}

function panopticTest(value: JsonValue | undefined): PanopticTestOptions {
  const { mask_overlap, stuff_area_limit, ...rest } = object(value, 'test_cfg.panoptic');
  return {
    ...rcnnTest(rest),
    maskOverlap: finite(mask_overlap, 'mask_overlap'),
    stuffAreaLimit: count(stuff_area_limit, 'stuff_area_limit'),
  };
}

function nmsTest(value: JsonValue | undefined): { nmsIouThreshold: number; classAgnosticNms?: boolean } {
  const { type, iou_threshold, class_agnostic, ...rest } = object(value, 'nms');
  none(rest, 'nms');
  if (type !== 'nms') throw new GoldenError(`nms.type: expected "nms", got ${JSON.stringify(type)}`);
  return {
    nmsIouThreshold: finite(iou_threshold, 'nms.iou_threshold'),
    ...(class_agnostic !== undefined && {
      classAgnosticNms: boolean(class_agnostic, 'nms.class_agnostic'),
    }),
  };
}

function none(rest: JsonObject, at: string): void {
  const [name] = Object.keys(rest);
  if (name !== undefined) throw new GoldenError(`${at}: unknown option "${name}"`);
}
