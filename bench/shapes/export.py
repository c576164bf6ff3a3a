"""Makes models/shapes of a trained checkpoint: python bench/shapes/export.py CHECKPOINT FOLDER

The checkpoint, labelled pictures (val/, COCO format), what plain PyTorch detects on them (reference.json) and its AP by
pycocotools (metrics.json). Needs pycocotools and Pillow besides torch.
"""

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference import mask_rcnn, unfold  # noqa: E402
from shapes.model import build, save  # noqa: E402
from shapes.picture import network_input  # noqa: E402
from shapes.scenes import CLASSES, draw_scene  # noqa: E402

# As models/shapes/config.json has it: one class for a shape, and nothing that is more likely wrong than right.
TEST = mask_rcnn.TEST | {"rcnn": mask_rcnn.TEST["rcnn"] | {"score_thr": 0.7, "class_agnostic": True}}
FIRST_SEED = 700_000_000  # far from those of the training
# Pictures of the network's own size, an upright one, larger and smaller ones, and one without any shape.
PICTURES = [{}] * 7 + [
    {"height": 320, "width": 256},
    {"height": 512, "width": 640, "zoom": 2.0, "grain": 2.0},
    {"height": 150, "width": 200, "zoom": 0.625},
    {"fewest": 0, "most": 0},
]
STATISTICS = "AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl".split()  # pycocotools' order


def scenes():
    return [
        draw_scene(FIRST_SEED + i, **{"fewest": 3, "grain": 4.0} | options) for i, options in enumerate(PICTURES)
    ]


def run_lengths(mask):
    coded = rle.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(side) for side in coded["size"]], "counts": coded["counts"].decode()}


def annotations(drawn, names):
    """Scenes in COCO's instances format."""
    images, objects = [], []
    for i, (scene, name) in enumerate(zip(drawn, names)):
        height, width = scene.image.shape[:2]
        images.append({"id": i + 1, "file_name": name, "height": height, "width": width})
        for mask, (x1, y1, x2, y2), label in zip(scene.masks, scene.boxes.tolist(), scene.labels.tolist()):
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": i + 1,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": run_lengths(mask),
                }
            )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    return {"images": images, "annotations": objects, "categories": categories}


def detect(model, image):
    """Detections in an RGB picture, best score first."""
    values, size, factor = network_input(image)
    out = model.detect(values, size, factor, TEST)
    detections = []
    for box, score, label, logits, paste in zip(
        *(out[name] for name in ("det_bboxes", "det_scores", "det_labels", "mask_logits", "paste_boxes"))
    ):
        mask = mask_rcnn.paste_mask(logits, paste, *image.shape[:2])
        detections.append(
            {
                "box": [round(side, 4) for side in box.tolist()],
                "score": round(score.item(), 6),
                "label": label.item(),
                "area": int(mask.sum()),
                "segmentation": run_lengths(mask.numpy()),
            }
        )
    return detections


def result(task, image, detection):
    """A detection in COCO's results format. One with a box and a mask would be small or large by its box."""
    x1, y1, x2, y2 = detection["box"]
    place = {"bbox": [x1, y1, x2 - x1, y2 - y1]} if task == "bbox" else {"segmentation": detection["segmentation"]}
    return {"image_id": image, "category_id": detection["label"] + 1, "score": detection["score"]} | place


def named(names, values):
    return dict(zip(names, (round(float(value), 6) for value in values)))


def precision(truth, found):
    """COCO's twelve numbers and the AP of every class, for boxes and masks."""
    metrics = {}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        for task in ("bbox", "segm"):
            detected = coco.loadRes([result(task, i + 1, each) for i, few in enumerate(found) for each in few])
            evaluation = COCOeval(coco, detected, task)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            by_class = evaluation.eval["precision"][:, :, :, 0, -1].mean((0, 1))
            metrics[task] = named(STATISTICS, evaluation.stats) | {"perClass": named(CLASSES, by_class)}
    return metrics


def write_json(path, value, indent=None):
    path.write_text(json.dumps(value, indent=indent) + "\n")


def load(path, operators=unfold):
    stored = torch.load(path, weights_only=True)
    model = build(operators).eval()
    model.load_state_dict(stored["state_dict"])
    return model, stored["meta"]["scenes"]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("checkpoint")
    arguments.add_argument("folder", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    model, seen = load(options.checkpoint)
    val = options.folder / "val"
    val.mkdir(parents=True, exist_ok=True)
    save(model, options.folder / "shapes_mask_rcnn_r18_freqfusion.pth", seen)
    drawn = scenes()
    names = [f"picture_{i:02}.png" for i in range(len(drawn))]
    for scene, name in zip(drawn, names):
        Image.fromarray(scene.image).save(val / name, optimize=True)
    truth = annotations(drawn, names)
    write_json(val / "annotations.json", truth)
    found = [detect(model, scene.image) for scene in drawn]
    write_json(options.folder / "reference.json", dict(zip(names, found)), 1)
    notes = "COCO AP by pycocotools on val/, of the detections in reference.json (test settings of config.json)"
    write_json(options.folder / "metrics.json", {"_notes": notes} | precision(truth, found), 1)


if __name__ == "__main__":
    main()
