import { describeFamily } from './family';

describeFamily('panoptic_fpn_r50_freqfusion', ['stage_semantic']);
