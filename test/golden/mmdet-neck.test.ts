import { describeFamily } from './family';

describeFamily('mmdet_neck', [
  'freqfusion_r50_g4_32x16',
  'baseline_carafe_g2_k3_16x32',
  'baseline_fpn_nearest_odd_17x25',
]);
