import { describeFamily } from './family';

describeFamily('segnext', ['hamburger_r16', 'mscan_t_backbone_70x45', 'mscan_t_freqfusion_64x96_b2']);
