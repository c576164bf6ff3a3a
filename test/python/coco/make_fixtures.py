"""Writes test/unit/fixtures/coco-*.json: a few of the random cases with what pycocotools and the references make of them.

Usage: python make_fixtures.py FOLDER
"""

import json
import sys
from pathlib import Path

from references import average_precision
from scenes import DetectionScene
from test_coco import detection_settings, mask_case, panoptic_case


def detections(seed):
    scene = DetectionScene(seed, most_images=6, most_detections=120)
    cases = []
    for setting, options in detection_settings(scene):
        want = average_precision(scene.truth, scene.results, **setting)
        del want["precision"]
        cases.append(dict(options=dict(options, task=setting["task"]), **want))
    return dict(truth=scene.truth, results=scene.results, cases=cases)


def write(folder, name, content):
    text = json.dumps(content, separators=(",", ":"))
    (folder / f"coco-{name}.json").write_text(text + "\n")
    print(name, len(text))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(folder, "masks", [dict(case, want=want) for case, want in (mask_case(seed) for seed in range(1000, 1012))])
    write(folder, "detections", [detections(seed) for seed in (128, 203, 279)])
    write(folder, "panoptic", [dict(case, want=want) for case, want in map(panoptic_case, (202, 205))])
