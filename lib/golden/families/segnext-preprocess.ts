import { preprocess } from '../../image/preprocess';
import type { HostArray } from '../compare';
import { GoldenError } from '../error';
import type { FamilyRunner } from '../run';

/** The test pipeline of SegNeXt on one image: keep-ratio resize, resize to a multiple, normalisation. */
export const segNeXtPreprocessFamily: FamilyRunner = {
  family: 'segnext_preprocess',
  async run(run) {
    const [long, short] = run.config.numbers('img_scale', 2) as [number, number];
    const divisor = run.config.value('size_divisor') ?? null;
    if (divisor !== null && typeof divisor !== 'number')
      throw new GoldenError('config.size_divisor: expected a number or null');
    const mean = run.config.numbers('mean', 3) as [number, number, number];
    const std = run.config.numbers('std', 3) as [number, number, number];
    // Without the swap the network sees BGR: the whole pipeline works channel by channel, so leaving both the
    // image and the results as they are gives exactly that.
    const swap = run.config.boolean('to_rgb', true);
    const image = await run.values('image_bgr');
    const result = await preprocess(run.place(swap ? reversed(image) : image), {
      resize: { mode: 'keep-ratio', scale: [long, short] },
      multiple: divisor === null ? null : { divisor, how: 'stretch' },
      mean,
      std,
    });
    const back = async (name: 'resized' | 'multiple'): Promise<HostArray> => {
      const { dtype, shape } = result[name];
      const pixels: HostArray = { dtype, shape, data: (await result[name].data()) as HostArray['data'] };
      return swap ? reversed(pixels) : pixels;
    };
    return {
      outputs: { resized: await back('resized'), multiple: await back('multiple'), input: result.input },
    };
  },
};

/** The same pixels [H, W, 3] with their channels in reverse order. */
function reversed({ dtype, shape, data }: HostArray): HostArray {
  const values = Uint8Array.from(data as ArrayLike<number>);
  for (let i = 0; i < values.length; i += 3) [values[i], values[i + 2]] = [values[i + 2]!, values[i]!];
  return { dtype, shape, data: values };
}
