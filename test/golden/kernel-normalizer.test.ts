import { describeFamily } from './family';

describeFamily('kernel_normalizer', ['hamming3']);
