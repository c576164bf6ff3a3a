import { describeFamily } from './family';

describeFamily('local_sim', ['cos_k3_d1']);
