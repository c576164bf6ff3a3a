import { describeFamily } from './family';

describeFamily('carafe', ['reflect_backward_k3_up1_g1', 'zeros_mmcv_cuda_k5_up2_g4']);
