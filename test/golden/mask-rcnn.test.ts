import { describeFamily } from './family';

describeFamily('mask_rcnn_r50_freqfusion', ['stage_roi_mask']);
