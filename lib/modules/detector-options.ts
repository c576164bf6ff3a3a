import type { UpsampleConfig } from './fpn';
import type { FreqFusionSettings } from './freqfusion-options';
import type { ResNetOptions } from './resnet';

/** Options of a detector's ResNet. */
export type DetectorBackboneOptions = ResNetOptions;

/**
 * Options of a detector's {@link Fpn}. FreqFusion's own are for type 'FreqFusionCARAFEFPN' alone, with
 * featureResampleGroup 4 by default.
 */
export interface DetectorNeckOptions extends Omit<FreqFusionSettings, 'compressedChannels'> {
  /** Default 'FreqFusionCARAFEFPN'. */
  readonly type?: 'FPN' | 'FPN_CARAFE' | 'FreqFusionCARAFEFPN';
  /** Channels of the backbone's maps, finest first. Default: the backbone's. */
  readonly inChannels?: readonly number[];
  /** Default 256. */
  readonly outChannels?: number;
  /** Default 5. */
  readonly numOuts?: number;
  /** Of type 'FPN_CARAFE'. Default { type: 'carafe' }. */
  readonly upsampleCfg?: UpsampleConfig;
  /** FreqFusion compresses both maps to floor(2 * outChannels / compressRatio). Default 8. */
  readonly compressRatio?: number;
}

/** Anchor boxes of a region proposal network, mmdetection's AnchorGenerator. */
export interface AnchorGeneratorOptions {
  /** Sides as multiples of the stride. Default [8]. */
  readonly scales?: readonly number[];
  /** Heights divided by widths. Default [0.5, 1, 2]. */
  readonly ratios?: readonly number[];
  /** Pixels of the image between two cells of a level, finest level first. Default [4, 8, 16, 32, 64]. */
  readonly strides?: readonly number[];
}

/** How box regression is read, mmdetection's DeltaXYWHBBoxCoder: delta * std + mean for x, y, width and height. */
export interface BoxCoderOptions {
  /** Default [0, 0, 0, 0]. */
  readonly targetMeans?: readonly number[];
  /** Default [1, 1, 1, 1] in the RPN, [0.1, 0.1, 0.2, 0.2] in the box head. */
  readonly targetStds?: readonly number[];
}

/** Options of {@link RpnHead}. */
export interface RpnHeadOptions {
  /** Channels of the neck's maps. Default 256; in a detector, the neck's. */
  readonly inChannels?: number;
  /** Channels of the shared convolution. Default 256; in a detector, the neck's. */
  readonly featChannels?: number;
  readonly anchorGenerator?: AnchorGeneratorOptions;
  readonly bboxCoder?: BoxCoderOptions;
}

/** How regions are read from the levels, mmdetection's SingleRoIExtractor. */
export interface RoiExtractorOptions {
  /** Side of a region's map. Default 7 for boxes, 14 for masks. */
  readonly outputSize?: number;
  /** Samples a bin and axis; 0 (default) takes as many as pixels of the level lie in it. */
  readonly samplingRatio?: number;
  /** Strides of the levels that are read, finest first. Default [4, 8, 16, 32]. */
  readonly featmapStrides?: readonly number[];
  /** Regions whose sqrt(area) is below twice this are read from the finest level. Default 56. */
  readonly finestScale?: number;
}

/** Options of the box head, mmdetection's Shared2FCBBoxHead. */
export interface BBoxHeadOptions {
  /** Channels of the neck's maps. Default 256; in a detector, the neck's. */
  readonly inChannels?: number;
  /** Width of both fully connected layers. Default 1024. */
  readonly fcOutChannels?: number;
  /** Without the background. Default 80. */
  readonly numClasses?: number;
  /** One box for all classes. Default false. */
  readonly regClassAgnostic?: boolean;
  readonly bboxCoder?: BoxCoderOptions;
}

/** Options of the mask head, mmdetection's FCNMaskHead. */
export interface MaskHeadOptions {
  /** Channels of the neck's maps. Default 256; in a detector, the neck's. */
  readonly inChannels?: number;
  /** Channels of the convolutions. Default 256. */
  readonly convOutChannels?: number;
  /** Number of 3x3 convolutions. Default 4. */
  readonly numConvs?: number;
  /** Default: the box head's. */
  readonly numClasses?: number;
  /** One mask for all classes. Default false. */
  readonly classAgnostic?: boolean;
  /** What doubles the map before the last convolution. Default { type: 'deconv' }, of kernel 2 and with ReLU. */
  readonly upsampleCfg?: UpsampleConfig;
}

/** Options of {@link RoiHead}. */
export interface RoiHeadOptions {
  readonly bboxRoiExtractor?: RoiExtractorOptions;
  readonly bboxHead?: BBoxHeadOptions;
  readonly maskRoiExtractor?: RoiExtractorOptions;
  /** Null or absent: no masks, except in MaskRcnn and PanopticFpn, which always have a mask head. */
  readonly maskHead?: MaskHeadOptions | null;
}

/** Options of {@link SemanticFpnHead}, mmdetection's PanopticFPNHead. */
export interface SemanticHeadOptions {
  /** Default 80; in a detector, the box head's numClasses. */
  readonly numThingsClasses?: number;
  /** Default 53. */
  readonly numStuffClasses?: number;
  /** Channels of the neck's maps. Default 256; in a detector, the neck's. */
  readonly inChannels?: number;
  /** Default 128. */
  readonly innerChannels?: number;
  /** Groups of every GroupNorm. Default 32. */
  readonly normGroups?: number;
}

/** What becomes a proposal. */
export interface RpnTestOptions {
  /** Best anchors of every level that are decoded. Default 1000. */
  readonly nmsPre?: number;
  /** Proposals of an image. Default 1000. */
  readonly maxPerImg?: number;
  /** Default 0.7. */
  readonly nmsIouThreshold?: number;
  /** Width and height of a proposal are greater than it, in pixels of the network's input. Default 0. */
  readonly minBboxSize?: number;
}

/** What becomes a detection. */
export interface RcnnTestOptions {
  /** Scores are greater than it. Default 0.05. */
  readonly scoreThr?: number;
  /** Default 0.5. */
  readonly nmsIouThreshold?: number;
  /** Suppress boxes of other classes too. Default false. */
  readonly classAgnosticNms?: boolean;
  /** Default 100. */
  readonly maxPerImg?: number;
  /** Mask pixels have at least this probability. Default 0.5. */
  readonly maskThrBinary?: number;
}

/** What becomes an instance of a panoptic map, and what of the rest. */
export interface PanopticTestOptions {
  /** Default 0.6. */
  readonly scoreThr?: number;
  /** Default 0.5. */
  readonly nmsIouThreshold?: number;
  /** Default true. */
  readonly classAgnosticNms?: boolean;
  /** Default 100. */
  readonly maxPerImg?: number;
  /** Default 0.5. */
  readonly maskThrBinary?: number;
  /** An instance is left out where more than this share of it is covered by better ones. Default 0.5. */
  readonly maskOverlap?: number;
  /** Stuff of fewer pixels becomes void. Default 4096. */
  readonly stuffAreaLimit?: number;
}

/** Test settings of a detector, mmdetection's test_cfg. */
export interface DetectorTestOptions {
  readonly rpn?: RpnTestOptions;
  /** Of FasterRcnn and MaskRcnn. */
  readonly rcnn?: RcnnTestOptions;
  /** Of PanopticFpn. */
  readonly panoptic?: PanopticTestOptions;
}

/** Options of {@link FasterRcnn}, {@link MaskRcnn} and {@link PanopticFpn}; the defaults are the released R50 models'. */
export interface DetectorOptions {
  readonly backbone?: DetectorBackboneOptions;
  readonly neck?: DetectorNeckOptions;
  readonly rpnHead?: RpnHeadOptions;
  readonly roiHead?: RoiHeadOptions;
  /** Of PanopticFpn alone. */
  readonly semanticHead?: SemanticHeadOptions;
  readonly testCfg?: DetectorTestOptions;
}
