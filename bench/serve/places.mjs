import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's own folder. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Where `npm run bench:setup` puts onnxruntime-node, which is no dependency of the package. */
export const ONNX_FOLDER = process.env.FREQFUSION_BENCH_ONNX ?? join(ROOT, 'bench', '.onnx');

/** The pages that clients send. */
export const PAGES = join(ROOT, 'models', 'layout', 'val');
