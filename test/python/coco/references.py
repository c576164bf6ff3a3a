"""What the scores must be: pycocotools' own, and slow ones after the definitions where there is no package to ask."""

import contextlib
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def average_precision(truth, results, task, max_detections=None, any_class=False, images=None, categories=None,
                      box_areas=False):  # fmt: skip
    """pycocotools' twelve numbers, precision and recall; None without detections, which it cannot read."""
    if not results:
        return None
    results = json.loads(json.dumps(results))
    if task == "segm" and not box_areas:
        # With boxes it would take their areas for the masks'.
        for result in results:
            result.pop("bbox")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(truth))
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), task)
        evaluation.params.useCats = 0 if any_class else 1
        if max_detections is not None:
            evaluation.params.maxDets = list(max_detections)
        if images is not None:
            evaluation.params.imgIds = list(images)
        if categories is not None:
            evaluation.params.catIds = list(categories)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    return dict(stats=evaluation.stats.tolist(), precision=precision.ravel().tolist(), recall=recall.ravel().tolist())


def panoptic_quality(pairs, categories):
    """PQ, SQ and RQ of all, things and stuff (Kirillov et al., with COCO's rules for void and crowds), mask by mask."""
    counts = {each["id"]: dict(iou=0.0, tp=0, fp=0, fn=0) for each in categories}
    for (true_ids, true_infos), (ids, infos) in pairs:
        void = true_ids == 0
        matched, right = set(), set()
        for info in infos:
            mask = ids == info["id"]
            for true_info in true_infos:
                true_mask = true_ids == true_info["id"]
                if true_info["iscrowd"] or true_info["category_id"] != info["category_id"]:
                    continue
                shared = (mask & true_mask).sum()
                iou = shared / ((mask & ~void).sum() + true_info["area"] - shared)
                if iou > 0.5:
                    counts[info["category_id"]]["tp"] += 1
                    counts[info["category_id"]]["iou"] += iou
                    matched.add(true_info["id"])
                    right.add(info["id"])
        for true_info in true_infos:
            if not true_info["iscrowd"] and true_info["id"] not in matched:
                counts[true_info["category_id"]]["fn"] += 1
        for info in infos:
            if info["id"] in right:
                continue
            mask = ids == info["id"]
            crowds = [each["id"] for each in true_infos if each["iscrowd"] and each["category_id"] == info["category_id"]]
            excused = (mask & void).sum() + (0 if not crowds else (mask & (true_ids == crowds[-1])).sum())
            if excused / mask.sum() <= 0.5:
                counts[info["category_id"]]["fp"] += 1
    scores = {}
    for group, kinds in (("all", (0, 1)), ("things", (1,)), ("stuff", (0,))):
        rows = [counts[each["id"]] for each in categories if each["isthing"] in kinds]
        rows = [row for row in rows if row["tp"] + row["fp"] + row["fn"] > 0]
        scores[group] = dict(pq=None, sq=None, rq=None)
        if rows:
            weights = [row["tp"] + row["fp"] / 2 + row["fn"] / 2 for row in rows]
            scores[group] = dict(
                pq=float(np.mean([row["iou"] / weight for row, weight in zip(rows, weights)])),
                sq=float(np.mean([row["iou"] / max(row["tp"], 1) for row in rows])),
                rq=float(np.mean([row["tp"] / weight for row, weight in zip(rows, weights)])),
            )
    return scores


def mean_iou(pairs, classes, ignore=255):
    """mIoU, mAcc and aAcc from areas summed over all images, as MMSegmentation's mIoU metric."""
    intersection, predicted, true = (np.zeros(classes) for _ in range(3))
    for truth, labels in pairs:
        judged = truth != ignore
        truth, labels = truth[judged], labels[judged]
        for label in range(classes):
            intersection[label] += ((truth == label) & (labels == label)).sum()
            predicted[label] += (labels == label).sum()
            true[label] += (truth == label).sum()
    with np.errstate(invalid="ignore"):
        iou, accuracy = intersection / (predicted + true - intersection), intersection / true
    # A class that does not occur has no score.
    scores = dict(iou=iou, accuracy=accuracy)
    scores = {name: [None if np.isnan(each) else float(each) for each in values] for name, values in scores.items()}
    means = dict(miou=np.nanmean(iou), meanAccuracy=np.nanmean(accuracy), pixelAccuracy=intersection.sum() / true.sum())
    return scores | {name: float(value) for name, value in means.items()}
