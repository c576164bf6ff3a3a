import { describeFamily } from './family';

describeFamily('similarity', ['edge5_bilinear', 'fusion_two_layers']);
