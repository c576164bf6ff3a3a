"""Masks and scores on random cases against pycocotools, and against definitions where it has none.

Usage: python test_coco.py [LIBRARY] [GOLDENS], with FREQFUSION_NODE or node, and dist/ built.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pycocotools import mask as masks
from references import average_precision, mean_iou, panoptic_quality
from scenes import DetectionScene, PanopticScene, compressed

sys.path.insert(0, str(Path(__file__).parent.parent / "ops"))
from golden import Tally  # noqa: E402

TOLERANCE = 1e-9


def judge(cases):
    """freqfusion's answers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.json"
        file.write_text(json.dumps(cases))
        command = [os.environ.get("FREQFUSION_NODE", "node"), str(Path(__file__).parent / "judge.cjs"), str(file)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def same(got, want):
    """Equal numbers of equal structure; None is equal to itself alone."""
    if isinstance(want, dict):
        return all(same(got[key], want[key]) for key in want)
    if isinstance(want, list):
        return len(got) == len(want) and all(map(same, got, want))
    if want is None or got is None or isinstance(want, str):
        return got == want
    return abs(got - want) <= TOLERANCE


def mask_case(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    low, high = [(-5, 45), (0, min(height, width)), (-100, 150)][int(rng.integers(3))]
    polygons = []
    for index in range(int(rng.integers(1, 4))):
        # pycocotools takes a list that begins with four numbers for boxes.
        points = rng.uniform(low, high, 2 * int(rng.integers(2 if index > 0 else 3, 9)))
        points = points.round(int(rng.integers(0, 3))) if rng.random() < 0.5 else points
        points = np.concatenate([points, points[:2]]) if rng.random() < 0.2 else points
        polygons.append(points.tolist())
    box = rng.uniform(-5, 40, 4).round(int(rng.integers(0, 3))).tolist()
    bitmap = (rng.random((height, width)) < rng.random()).astype(np.uint8)
    crowd = rng.integers(0, 2, 3).tolist()
    boxes, others = (rng.uniform(0, 10, (n, 4)).round(int(rng.integers(0, 3))) for n in (4, 3))
    parts = masks.frPyObjects(polygons, height, width)
    union, intersection = masks.merge(parts), masks.merge(parts, intersect=True)
    encoded = masks.encode(np.asfortranarray(bitmap))
    every = [*parts, union, intersection, masks.frPyObjects(np.array([box]), height, width)[0], encoded]
    case = dict(kind="masks", height=height, width=width, polygons=polygons, box=box, bitmap=bitmap.ravel().tolist(),
                crowd=crowd, boxes=boxes.tolist(), others=others.tolist())  # fmt: skip
    want = dict(
        strings=[compressed(rle)["counts"] for rle in every],
        areas=[int(masks.area(rle)) for rle in every],
        boxes=[masks.toBbox(rle).tolist() for rle in every],
        bitmap=masks.decode(union).ravel().tolist(),
        ious=masks.iou(every, [union, intersection, encoded], crowd).ravel().tolist(),
        boxIous=np.asarray(masks.iou(boxes, others, crowd)).ravel().tolist(),
    )
    return case, want


def detection_settings(scene):
    """Options of pycocotools with those of freqfusion that mean the same."""
    images, categories = [each["id"] for each in scene.images[:2]], scene.categories[:1]
    yield dict(task="bbox"), {}
    yield dict(task="segm"), {}
    yield dict(task="segm", box_areas=True), dict(segmArea="box")
    yield dict(task="bbox", any_class=True), dict(useCategories=False)
    yield dict(task="segm", max_detections=(2, 5, 100)), dict(maxDetections=[2, 5, 100])
    yield dict(task="bbox", max_detections=(100, 300, 1000)), dict(maxDetections=[100, 300, 1000])
    yield dict(task="bbox", images=images, categories=categories), dict(imageIds=images, categoryIds=categories)


def detection_cases(seed):
    scene = DetectionScene(seed)
    for setting, options in detection_settings(scene):
        want = average_precision(scene.truth, scene.results, **setting)
        if want is not None:
            options = dict(options, task=setting["task"])
            yield dict(kind="detections", truth=scene.truth, results=scene.results, options=options), want


def panoptic_case(seed):
    scene = PanopticScene(seed)
    pngs, lists = {}, ([], [])
    for index, pair in enumerate(scene.pairs):
        for kind, (ids, infos) in enumerate(pair):
            name = f"{kind}-{index}.png"
            pngs[name] = dict(ids=ids.ravel().tolist(), height=ids.shape[0], width=ids.shape[1])
            lists[kind].append(dict(image_id=index + 7, file_name=name, segments_info=infos))
    truth = dict(categories=scene.categories, annotations=lists[0])
    case = dict(kind="panoptic", truth=truth, results=dict(annotations=lists[1][::-1]), pngs=pngs)
    return case, panoptic_quality(scene.pairs, scene.categories)


def semantic_case(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 6))
    pairs, written = [], []
    for _ in range(int(rng.integers(1, 4))):
        shape = tuple(int(side) for side in rng.integers(1, 30, 2))
        truth = rng.integers(0, max(1, classes - int(rng.integers(0, 2))), shape)
        labels = np.where(rng.random(shape) < 0.7, truth, rng.integers(0, classes, shape))
        truth = np.where(rng.random(shape) < 0.2, 255, truth)
        pairs.append((truth, labels))
        sides = dict(height=shape[0], width=shape[1])
        written.append(dict(sides, truth=truth.ravel().tolist(), labels=labels.ravel().tolist()))
    names = [f"c{label}" for label in range(classes)]
    want = mean_iou(pairs, classes)
    for name in ("iou", "accuracy"):
        want[name] = dict(zip(names, want[name]))
    return dict(kind="semantic", classes=names, pairs=written), want


def compare(tally, title, cases):
    answers = judge([case for case, _ in cases])
    for index, (answer, (case, want)) in enumerate(zip(answers, cases)):
        for key in want:
            tally.check(same(answer[key], want[key]), f"{title} {index}, {key} {case.get('options', '')}")
    tally.group(title)


if __name__ == "__main__":
    tally = Tally()
    compare(tally, "masks", [mask_case(seed) for seed in range(400)])
    compare(tally, "detections", [each for seed in range(24) for each in detection_cases(seed)])
    compare(tally, "panoptic", [panoptic_case(seed) for seed in range(60)])
    compare(tally, "semantic", [semantic_case(seed) for seed in range(60)])
    tally.finish()
