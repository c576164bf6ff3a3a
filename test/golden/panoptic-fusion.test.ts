import { describeFamily } from './family';

describeFamily('panoptic_fusion', ['fuse_12']);
