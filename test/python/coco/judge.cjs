// What freqfusion makes of cases: a JSON list of {kind, ...} in the file that is named, a list of answers on stdout.
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const coco = require('../../../dist/index.js');

const folder = mkdtempSync(join(tmpdir(), 'freqfusion-coco-'));

function jsonFile(name, content) {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(content));
  return file;
}

const KINDS = {
  masks({ height, width, polygons, box, bitmap, crowd, boxes, others }) {
    const parts = polygons.map((each) => coco.rleFromPolygons([each], height, width));
    const union = coco.mergeRles(parts);
    const intersection = coco.mergeRles(parts, { intersect: true });
    const ofBox = coco.rleFromBox(box, height, width);
    const encoded = coco.encodeRle(Uint8Array.from(bitmap), height, width);
    const all = [...parts, union, intersection, ofBox, encoded];
    const read = all.map((rle) => coco.fromCocoRle(coco.toCocoRle(rle)));
    const crowds = crowd.map(Boolean);
    return {
      strings: all.map((rle) => coco.toCocoRle(rle).counts),
      areas: read.map(coco.rleArea),
      boxes: read.map(coco.rleBox),
      bitmap: Array.from(coco.decodeRle(union)),
      ious: Array.from(coco.rleIou(read, [union, intersection, encoded], crowds)),
      boxIous: Array.from(coco.boxIou(boxes, others, crowds)),
    };
  },

  async detections({ truth, results, options }) {
    const annotations = await coco.readInstances(jsonFile('truth.json', truth), { masks: true });
    const byImage = await coco.readResults(jsonFile('results.json', results), annotations, options.task);
    const evaluator = new coco.DetectionEvaluator(annotations, options);
    for (const [imageId, list] of byImage) evaluator.add(imageId, list);
    const { precision, recall } = evaluator.precisionRecall();
    return { stats: evaluator.report().stats, precision: Array.from(precision), recall: Array.from(recall) };
  },

  async panoptic({ truth, results, pngs }) {
    for (const [name, { ids, width, height }] of Object.entries(pngs)) {
      writeFileSync(join(folder, name), await coco.encodePanopticPng(Int32Array.from(ids), width, height));
    }
    const files = [truth, results].map((each, i) => ({ file: jsonFile(`${i}.json`, each), folder }));
    return coco.evaluatePanopticFiles(...files);
  },

  async semantic({ classes, pairs }) {
    const maps = pairs.map(({ width, height, truth, labels }) => ({
      image: coco.encodeLabelPng({ width, height, labels: Uint8Array.from(labels) }),
      label: { width, height, labels: Uint8Array.from(truth) },
    }));
    for (const map of maps) map.image = await map.image;
    return coco.evaluateSegmentation(coco.labelResults(classes), maps, { boundary: 0 });
  },
};

async function main() {
  const answers = [];
  for (const each of JSON.parse(readFileSync(process.argv[2], 'utf8')))
    answers.push(await KINDS[each.kind](each));
  process.stdout.write(JSON.stringify(answers));
}

main().finally(() => rmSync(folder, { recursive: true }));
