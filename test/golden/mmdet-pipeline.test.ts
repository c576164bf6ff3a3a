import { describeFamily } from './family';

describeFamily('mmdet_pipeline', ['image_up', 'size_table_1333x800']);
