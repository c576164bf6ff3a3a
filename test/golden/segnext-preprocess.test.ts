import { describeFamily } from './family';

describeFamily('segnext_preprocess', ['ade_landscape']);
