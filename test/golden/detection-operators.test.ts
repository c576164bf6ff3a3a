import { describeFamily } from './family';

describeFamily('roi_align', ['bins7_scale4', 'extractor_levels_7']);
describeFamily('nms', ['batched_300_5groups_iou0.7', 'multiclass_60x8', 'plain_200_iou0.5']);
describeFamily('delta2bbox', ['boxhead_80', 'encode']);
describeFamily('anchor_generator', ['scale_minor_offset']);
describeFamily('mask_paste', ['segm_rescale_up', 'skip_many', 'whole_48x64']);
