import { describeFamily } from './family';

describeFamily('faster_rcnn_r50_freqfusion', ['stage_rpn_batch2_pre50', 'stage_roi']);
