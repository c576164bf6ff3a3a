import { describeFamily } from './family';

describeFamily('resnet', ['r18_64x64_batch2', 'r50_75x101_odd']);
