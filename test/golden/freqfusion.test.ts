import { describeFamily } from './family';

describeFamily('freqfusion', ['zeros_default_stages', 'zeros_recipe_add', 'zeros_medium_resample']);
