import { describeFamily } from './family';

describeFamily('offset_sampler', ['sim_g4_k3', 'sample_only_g4']);
