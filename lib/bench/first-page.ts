import { bundledPage, loadModel } from '../models/load';

// A program of its own, started by benchFirstPage: says when the first page is done.
async function main(): Promise<void> {
  const model = await loadModel();
  const map = await model.segment(bundledPage());
  process.stdout.write(`${map.areas().length}\n`);
}

void main();
