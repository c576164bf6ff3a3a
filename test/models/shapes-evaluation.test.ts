import { join } from 'node:path';
import { readInstances } from '../../lib/coco/instances';
import { evaluateDetector } from '../../lib/evaluation/detector-run';
import { loadDetector } from '../../lib/models/load-detector';
import metrics from '../../models/shapes/metrics.json';

const VAL = join(__dirname, '..', '..', 'models', 'shapes', 'val');

test.each(['bbox', 'segm'] as const)(
  'the bundled shapes detector has the %s AP that pycocotools gives it in PyTorch',
  async (task) => {
    const truth = await readInstances(join(VAL, 'annotations.json'), { masks: true });
    const model = await loadDetector();
    try {
      const { ap, ap50, classes, ar } = await evaluateDetector(model, truth, VAL, { task, batch: 4 });
      const wanted = metrics[task];
      // One box that falls on the other side of a threshold by rounding costs this much.
      const near = (value: number) => expect.closeTo(value, 2);
      expect({ ap, ap50, ar: ar[100] }).toEqual({
        ap: near(wanted.AP),
        ap50: near(wanted.AP50),
        ar: near(wanted.AR100),
      });
      expect(Object.fromEntries(classes.map(({ name, ap }) => [name, ap]))).toEqual(
        Object.fromEntries(Object.entries(wanted.perClass).map(([name, value]) => [name, near(value)])),
      );
    } finally {
      model.dispose();
    }
  },
);
