"""freqfusion::nms, batched_nms and multiclass_nms against their goldens and against a slow loop.

Usage: python test_nms.py LIBRARY GOLDENS [--sweep]
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
from golden import cases
from operator_checks import run

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def reference(boxes, scores, threshold=0.5, offset=0):
    """Greedy selection, pair by pair, in the boxes' own precision."""
    table = boxes.numpy()
    kind = table.dtype.type
    area = (table[:, 2] - table[:, 0] + kind(offset)) * (table[:, 3] - table[:, 1] + kind(offset))
    order = np.argsort(-scores.double().numpy(), kind="stable")
    kept = []
    dropped = np.zeros(len(table), dtype=bool)
    with np.errstate(all="ignore"):
        for place, i in enumerate(order):
            if dropped[i]:
                continue
            kept.append(int(i))
            rest = order[place + 1 :]
            low, high = np.maximum(table[i, :2], table[rest, :2]), np.minimum(table[i, 2:], table[rest, 2:])
            sides = np.maximum(high - low + kind(offset), kind(0))
            common = sides[:, 0] * sides[:, 1]
            dropped[rest[common / (area[i] + area[rest] - common) > kind(threshold)]] = True
    return kept


def random_boxes(count, extent, size, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * extent
    sides = torch.rand(count, 2, generator=generator, dtype=torch.float64) * size
    boxes = torch.cat([corner, corner + sides], 1).to(dtype)
    return boxes, torch.randperm(count, generator=generator).to(torch.float32) / count


def clustered(count, seed, dtype=torch.float32):
    """Boxes around a few centres: most pairs of a cluster lie near the threshold."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(max(1, count // 20), 4, generator=generator, dtype=torch.float64) * 300
    centres[:, 2:] = centres[:, :2] + 20 + centres[:, 2:] / 3
    pick = torch.randint(len(centres), (count,), generator=generator)
    boxes = centres[pick] + torch.randn(count, 4, generator=generator, dtype=torch.float64) * 4
    return boxes.to(dtype), torch.randperm(count, generator=generator).to(torch.float32) / count


def run_goldens(tally):
    for case in cases(Path(sys.argv[2]) / "nms"):
        config, inputs = case.config, case.inputs
        if config["op"] == "nms":
            arguments = [config[key] for key in ("iou_threshold", "offset", "score_threshold", "max_num")]
            keep = operators.nms(inputs["boxes"], inputs["scores"], *arguments)
        elif config["op"] == "batched_nms":
            settings = config["nms_cfg"] or {"iou_threshold": 1.0, "class_agnostic": True}
            agnostic = settings.get("class_agnostic", config["class_agnostic"])
            arguments = (settings["iou_threshold"], agnostic, settings.get("split_thr", 10000), settings.get("max_num", -1))
            keep = operators.batched_nms(inputs["boxes"], inputs["scores"], inputs["idxs"], *arguments)
        else:
            settings = config["nms"]
            found = operators.multiclass_nms(
                inputs["multi_bboxes"], inputs["multi_scores"], config["score_thr"], settings["iou_threshold"],
                settings.get("class_agnostic", False), 10000, config["max_num"])  # fmt: skip
            dets = torch.cat([found[0], found[1][:, None]], 1)
            wrong = case.mismatches({"dets": dets, "labels": found[2], "inds": found[3]})
            tally.check(not wrong, f"golden {case.name}: {wrong}")
            continue
        dets = torch.cat([inputs["boxes"][keep], inputs["scores"][keep][:, None]], 1)
        wrong = case.mismatches({"dets": dets, "keep": keep})
        tally.check(not wrong, f"golden {case.name}: {wrong}")
    tally.group("golden cases")


def sweep(tally):
    sets = {
        "sparse": random_boxes(3000, 2000, 60, 1),
        "dense": random_boxes(1500, 100, 90, 2),
        "clustered": clustered(2000, 3),
        "clustered, float64": clustered(1000, 4, torch.float64),
        "negative": (clustered(1000, 5)[0] - 400, clustered(1000, 5)[1]),
        "one column": (random_boxes(600, 1, 50, 6)[0] * torch.tensor([0.0, 1, 0, 1]) + torch.tensor([5.0, 0, 30, 0]),
                       random_boxes(600, 1, 50, 6)[1]),
        "far away": (clustered(500, 7)[0] + 1e6, clustered(500, 7)[1]),
        "huge and tiny": (torch.cat([clustered(300, 8)[0] * 1e4, clustered(300, 9)[0] * 1e-4]), torch.rand(600)),
        "whole pixels": (random_boxes(1500, 40, 12, 10)[0].round(), random_boxes(1500, 40, 12, 10)[1]),
    }  # fmt: skip
    for name, (boxes, scores) in sets.items():
        for threshold in (0.0, 0.3, 0.5, 0.7, 1.0):
            for offset in (0, 1):
                got = operators.nms(boxes, scores, threshold, offset).tolist()
                want = reference(boxes, scores, threshold, offset)
                tally.check(got == want, f"{name}, IoU {threshold}, offset {offset}: {len(got)} kept, {len(want)} wanted")
    for count in range(1, 70):
        boxes, scores = clustered(count, count)
        tally.check(operators.nms(boxes, scores).tolist() == reference(boxes, scores), f"{count} boxes")


def edges(tally):
    boxes, scores = clustered(200, 11)
    want = reference(boxes, scores)
    tally.check(operators.nms(boxes, scores, 0.5, 0, 0.0, 7).tolist() == want[:7], "max_num")
    tally.check(operators.nms(boxes, scores, 0.5, 0, 0.0, 0).tolist() == [], "max_num 0")
    high = [i for i in range(200) if scores[i] > 0.4]
    kept = [high[i] for i in reference(boxes[high], scores[high])]
    tally.check(operators.nms(boxes, scores, 0.5, 0, 0.4).tolist() == kept, "score_threshold")
    tenth = torch.tensor([0.1, 0.3, 0.2])
    tally.check(operators.nms(boxes[:3] + 0, tenth, 1.0, 0, 0.1).tolist() == [1, 2], "a threshold in the scores' dtype")
    tally.check(operators.nms(boxes[:3] + 0, tenth.half(), 1.0, 0, 0.2).tolist() == [1], "and in 16 bits")
    for dtype in (torch.float16, torch.bfloat16):
        rounded = boxes.to(dtype)
        tally.check(operators.nms(rounded, scores).tolist() == reference(rounded.float(), scores), f"{dtype} in float32")
    tally.check(operators.nms(boxes, scores.double()).tolist() == want, "scores of another dtype")
    tally.check(operators.nms(boxes, (scores * 200).half()).numel() > 0, "half scores")
    strided = torch.empty(200, 8)[:, ::2].copy_(boxes)
    tally.check(operators.nms(strided, scores.repeat(2).reshape(2, 200).t()[:, 0]).tolist() == want, "strides")
    same = torch.zeros(200)
    tally.check(operators.nms(boxes, same).tolist() == reference(boxes, same), "equal scores stay in order")
    signed = torch.tensor([0.0, -0.0, 0.0])
    apart = torch.tensor([[0.0, 0, 1, 1], [5, 5, 6, 6], [9, 9, 10, 10]])
    tally.check(operators.nms(apart, signed).tolist() == [0, 1, 2], "0 and -0 are equal scores")
    tally.check(operators.nms(apart, torch.tensor([-1.0, -3.0, -2.0])).tolist() == [0, 2, 1], "negative scores")
    tally.check(operators.nms(apart, torch.tensor([math.nan, 0.1, -math.inf])).tolist() == [1, 0, 2], "NaN comes last")
    tally.check(operators.nms(apart, torch.tensor([math.inf, math.nan, 0.5])).tolist() == [0, 2, 1], "infinity first")
    odd = torch.tensor([
        [0, 0, 10, 10], [math.nan, 0, 10, 10], [0, 0, math.inf, 10], [-math.inf, 0, 10, 10], [0, 0, 10, 10.5],
        [10, 10, 0, 0], [10, 10, 0, 0], [3, 3, 3, 3], [3, 3, 3, 3], [-3e38, -3e38, 3e38, 3e38]])  # fmt: skip
    order = torch.arange(10, 0, -1).float()
    tally.check(operators.nms(odd, order).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9], "boxes that overlap nothing stay")
    for count in (0, 1):
        keep = operators.nms(boxes[:count], scores[:count])
        tally.check(keep.dtype == torch.int64 and keep.tolist() == list(range(count)), f"{count} boxes")
    refuse = lambda *a: lambda: operators.nms(*a)  # noqa: E731
    tally.raises(refuse(boxes[:, :3], scores), r"expected shape \[N, 4\] for boxes, got", "shape of boxes")
    tally.raises(refuse(boxes, scores[1:]), r"expected shape \[200\] for scores, got", "shape of scores")
    tally.raises(refuse(boxes.int(), scores), "expected float32.* for boxes, got Int", "dtype of boxes")
    tally.raises(refuse(boxes, scores, 1.1), "expected 0..1 for iou_threshold, got 1.1", "threshold")
    tally.raises(refuse(boxes, scores, math.nan), "expected 0..1 for iou_threshold, got nan", "threshold NaN")
    tally.raises(refuse(boxes, scores, 0.5, 2), "expected 0..1 for offset, got 2", "offset")
    tally.raises(refuse(boxes, scores, 0.5, 0, 0.0, -2), "expected -1 or more for max_num, got -2", "max_num")
    tally.raises(refuse(boxes.to("meta"), scores.to("meta")), "depends on their values", "no shape function")
    leaf = boxes.clone().requires_grad_()
    tally.check(operators.nms(leaf, scores).tolist() == want, "boxes that need a gradient")
    tally.group("edges and errors")


def groups(tally):
    boxes, scores = clustered(400, 12)
    boxes = boxes.clamp(min=0)
    labels = torch.arange(400) % 7
    alone = []
    for group in range(7):
        members = (labels == group).nonzero()[:, 0]
        alone += [int(members[i]) for i in reference(boxes[members], scores[members])]
    alone.sort(key=lambda i: -scores[i])
    tally.check(operators.batched_nms(boxes, scores, labels, 0.5, False, 1).tolist() == alone, "group by group")
    # Moved boxes are rounded, so that a few pairs at the threshold may differ: none of this seed does.
    tally.check(operators.batched_nms(boxes, scores, labels).tolist() == alone, "moved apart")
    tally.check(operators.batched_nms(boxes, scores, labels, 0.5, False, 1, 9).tolist() == alone[:9], "max_num, split")
    tally.check(operators.batched_nms(boxes, scores, labels, 0.5, False, 10000, 9).tolist() == alone[:9], "max_num")
    for dtype in (torch.float16, torch.bfloat16):
        rounded, many = boxes.to(dtype), labels * 40
        apart = operators.batched_nms(rounded, scores, many).tolist()
        tally.check(apart == operators.batched_nms(rounded.float(), scores, many).tolist(), f"{dtype} boxes are moved in float32")
    agnostic = operators.batched_nms(boxes, scores, labels, 0.5, True).tolist()
    tally.check(agnostic == reference(boxes, scores), "class_agnostic")
    spoiled = torch.cat([boxes, torch.tensor([[math.nan, 0, 1, 1], [0, 0, math.inf, 1]])])
    kept = operators.batched_nms(spoiled, torch.cat([scores, torch.tensor([2.0, 3.0])]), torch.cat([labels, torch.tensor([1, 2])]))
    tally.check(kept.tolist() == [401, 400, *alone], "a box that is not finite leaves the others alone")
    nothing = operators.batched_nms(boxes[:0], scores[:0], labels[:0])
    tally.check(nothing.shape == (0,), "no boxes")
    tally.raises(lambda: operators.batched_nms(boxes, scores, labels.int()), "expected int64 for groups, got Int", "dtype")
    tally.raises(lambda: operators.batched_nms(boxes, scores, labels[1:]), r"expected shape \[400\] for groups", "shape")

    table = torch.rand(50, 6, generator=torch.Generator().manual_seed(1))
    shared, _ = clustered(50, 13)
    found = operators.multiclass_nms(shared, table, 0.3)
    wide = operators.multiclass_nms(shared.repeat(1, 5), table, 0.3)
    for a, b in zip(found, wide):
        tally.check(a.equal(b), "one box for all classes, or one for each")
    tally.check(bool((found[1] > 0.3).all()) and bool((found[1].diff() <= 0).all()), "scores above the threshold, sorted")
    tally.check(found[3].equal(found[3] // 5 * 5 + found[2]), "indices hold the labels")
    tally.check(table[found[3] // 5, found[2]].equal(found[1]), "indices lead to the scores")
    none = operators.multiclass_nms(shared[:0], table[:0])
    tally.check([list(t.shape) for t in none] == [[0, 4], [0], [0], [0]], "no boxes")
    spoiled = table.clone()
    spoiled[:, 2] = math.nan
    tally.check(2 not in operators.multiclass_nms(shared, spoiled, 0.3)[2], "a class of NaN is not detected")
    tally.raises(lambda: operators.multiclass_nms(shared[:, :3], table), "for boxes, got", "shape of boxes")
    tally.raises(lambda: operators.multiclass_nms(shared, table[:, :1]), "for scores, got", "no class")
    tally.group("groups and classes")


if __name__ == "__main__":
    run(run_goldens, sweep, [edges, groups])
