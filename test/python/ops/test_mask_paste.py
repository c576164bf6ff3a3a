"""freqfusion::mask_paste and mask_runs against their goldens, grid_sample and pycocotools' definition of run lengths.

Usage: python test_mask_paste.py LIBRARY GOLDENS [--sweep]
"""

import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from golden import cases, peak_memory_bytes
from operator_checks import registration, run

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def reference(masks, boxes, height, width, tight):
    """grid_sample with the coordinates of each pixel's centre in its box."""
    canvas = torch.zeros(len(masks), height, width, dtype=masks.dtype)
    for k, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        if not (all(map(math.isfinite, (x1, y1, x2, y2))) and x2 >= x1 and y2 >= y1):
            continue
        xs, ys = torch.arange(width, dtype=masks.dtype) + 0.5, torch.arange(height, dtype=masks.dtype) + 0.5
        xs = (xs - x1) / (x2 - x1) * 2 - 1 if x2 > x1 else torch.zeros_like(xs)
        ys = (ys - y1) / (y2 - y1) * 2 - 1 if y2 > y1 else torch.zeros_like(ys)
        grid = torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], -1)
        pasted = F.grid_sample(masks[k][None, None], grid[None], align_corners=False)[0, 0]
        if tight:
            rows = slice(max(math.floor(y1) - 1, 0), max(min(math.ceil(y2) + 1, height), 0))
            columns = slice(max(math.floor(x1) - 1, 0), max(min(math.ceil(x2) + 1, width), 0))
            canvas[k, rows, columns] = pasted[rows, columns]
        else:
            canvas[k] = pasted
    return canvas


def run_lengths(mask):
    """Runs of a [H, W] mask by column, beginning with zeros."""
    flat = mask.t().reshape(-1).tolist()
    runs, value, count = [], False, 0
    for each in flat:
        if each != value:
            runs.append(count)
            value, count = each, 0
        count += 1
    return [*runs, count]


BOXES = [
    [3.2, 4.1, 20.7, 18.3], [-5.5, -7.25, 9, 8], [30, 20, 60.5, 47.1], [-10, -10, 60, 60], [5, 6, 6.1, 30], [11.3, 7.7, 11.9, 8.1],
    [60, 3, 70, 9], [-20, 4, -3, 9], [8, 8, 24, 24], [7.5, 3, 7.5, 20], [9, 12.25, 30, 12.25], [14, 14, 14, 14],
    [20, 20, 5, 5], [math.nan, 0, 5, 5], [0, 0, math.inf, 9], [0, 0, 48, 40],
]  # fmt: skip


def masks_of(shape, dtype, seed=2):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def run_goldens(tally):
    for case in cases(Path(sys.argv[2]) / "mask_paste"):
        config = case.config
        if config["op"] != "_do_paste_mask":
            continue  # a mask head's last step: verified from TypeScript
        masks, boxes = case.inputs["masks"][:, 0], case.inputs["boxes"]
        tight = config["skip_empty"] and len(masks) == 1
        pasted = operators.mask_paste(masks, boxes, config["img_h"], config["img_w"], tight)
        outputs = {"pasted": pasted}
        if config["skip_empty"]:
            y0, y1, x0, x1 = case.expected["window"].tolist()
            outputs = {"pasted": pasted[:, y0:y1, x0:x1], "window": case.expected["window"]}
        wrong = case.mismatches(outputs)
        tally.check(not wrong, f"golden {case.name}: {wrong}")
    tally.group("golden cases")


def sweep(tally):
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 2e-5), (torch.float16, 2e-5), (torch.bfloat16, 2e-5)):
        boxes = torch.tensor(BOXES, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
        for sides in ((28, 28), (14, 5), (1, 1), (3, 31)):
            masks = masks_of((len(BOXES), *sides), dtype)
            wide = masks.double() if dtype == torch.float64 else masks.float()
            for height, width in ((40, 48), (1, 1), (150, 300)):
                for tight in (True, False):
                    what = f"{dtype}, {sides} on {height} x {width}, tight {tight}"
                    pasted = operators.mask_paste(masks, boxes, height, width, tight)
                    tally.check(pasted.dtype == wide.dtype, f"{what}: dtype")
                    tally.close(pasted, reference(wide, boxes, height, width, tight), 0, tolerance, what)
                for threshold in (0.5, 0.2, 0.97):
                    runs, starts, areas = operators.mask_runs(masks, boxes, height, width, threshold)
                    binary = operators.mask_paste(masks, boxes, height, width, True) >= threshold
                    good = starts[0] == 0 and starts[-1] == len(runs) and areas.tolist() == binary.sum((1, 2)).tolist()
                    for k in range(len(BOXES)):
                        mine = runs[starts[k] : starts[k + 1]].tolist()
                        good = good and mine == run_lengths(binary[k])
                    tally.check(bool(good), f"{dtype}, {sides} on {height} x {width}: runs at {threshold}")
        for values in (torch.zeros, torch.ones):
            masks = values(len(BOXES), 28, 28, dtype=dtype)
            runs, starts, areas = operators.mask_runs(masks, boxes, 40, 48)
            binary = operators.mask_paste(masks, boxes, 40, 48) >= 0.5
            for k in range(len(BOXES)):
                mine = runs[starts[k] : starts[k + 1]].tolist()
                tally.check(mine == run_lengths(binary[k]), f"{dtype}, {values.__name__}: box {k}")


def edges(tally):
    boxes = torch.tensor(BOXES)
    masks = masks_of((len(BOXES), 28, 28), torch.float32)
    for height, width in ((0, 7), (7, 0), (0, 0)):
        tally.check(operators.mask_paste(masks, boxes, height, width).shape == (len(BOXES), height, width), "empty canvas")
        runs, starts, areas = operators.mask_runs(masks, boxes, height, width)
        tally.check(runs.tolist() == [0] * len(BOXES) and not areas.any(), "runs of an empty canvas")
    tally.check(operators.mask_paste(masks[:0], boxes[:0], 5, 6).shape == (0, 5, 6), "no masks")
    runs, starts, areas = operators.mask_runs(masks[:0], boxes[:0], 5, 6)
    tally.check(runs.dtype == torch.int32 and len(runs) == 0 and starts.tolist() == [0] and len(areas) == 0, "no runs")
    hollow = masks.clone()
    hollow[0] = math.nan
    tally.check(int(operators.mask_runs(hollow, boxes, 40, 48)[2][0]) == 0, "NaN is not set")
    for row in range(28):
        hollow = torch.ones(1, 28, 28)
        hollow[0, row, 9] = math.nan
        place = torch.tensor([[2.0, 3, 90, 120]])
        binary = operators.mask_paste(hollow, place, 130, 100) >= 0.5
        tally.check(operators.mask_runs(hollow, place, 130, 100)[0].tolist() == run_lengths(binary[0]), f"NaN in row {row}")
    turned = masks.transpose(1, 2)
    tally.close(operators.mask_paste(turned, boxes, 40, 48), operators.mask_paste(turned.contiguous(), boxes, 40, 48), 0, 0, "strides")
    tally.close(operators.mask_paste(masks, boxes.double(), 40, 48), operators.mask_paste(masks, boxes, 40, 48), 0, 0, "boxes in float64")

    # 100 masks on a photograph of 12 million pixels, whose canvases would take 4.8 GB as floats.
    corner = torch.rand(100, 2, generator=torch.Generator().manual_seed(4)) * 2000
    large = torch.cat([corner, corner + 900], 1)
    photo = masks_of((100, 28, 28), torch.float32)
    since = time.perf_counter()
    grown = peak_memory_bytes(lambda: operators.mask_runs(photo, large, 3000, 4000))
    tally.check(grown < 64 << 20, f"runs on a photograph: {grown >> 20} MB more")
    tally.check(time.perf_counter() - since < 20, "runs on a photograph take no minutes")
    box = torch.tensor([[-1e9, -1e9, 1e9, 1e9]])
    runs = operators.mask_runs(photo[:1], box, 40000, 50000)[0]
    tally.check(int(runs.long().sum()) == 2_000_000_000, "2 billion pixels")

    refuse = lambda *a: lambda: operators.mask_paste(*a)  # noqa: E731
    tally.raises(refuse(masks[0], boxes, 5, 5), r"expected 3 dimensions \[K, h, w\] for masks, got 2", "rank of masks")
    tally.raises(refuse(masks, boxes[1:], 5, 5), "expected a box for each of the 16 masks for boxes, got 15", "boxes")
    tally.raises(refuse(masks.int(), boxes, 5, 5), "expected float32.* for masks, got Int", "dtype")
    tally.raises(refuse(masks[:, :0], boxes, 5, 5), "expected sides of 1..32768 for masks, got", "no rows")
    tally.raises(refuse(masks, boxes, -1, 5), "for height, got -1", "height")
    tally.raises(refuse(masks, boxes, 2**31 - 1, 2**31 - 1), ".", "a canvas that no memory holds")
    tally.raises(lambda: operators.mask_runs(masks, boxes, 5, 5, 0.0), "expected a number above 0 in Float for threshold, got 0", "threshold")
    for tiny in (masks, masks.half()):
        tally.raises(lambda: operators.mask_runs(tiny, boxes, 5, 5, 1e-60), "expected a number above 0 in Float", "0 in float32")
    tally.check(operators.mask_runs(masks.double(), boxes, 5, 5, 1e-60)[1][-1] > 0, "which float64 holds")
    tally.raises(lambda: operators.mask_runs(masks, boxes, 5, 5, 1e60), "expected a number above 0 in Float", "infinite in float32")
    tally.raises(lambda: operators.mask_runs(masks, boxes, 1 << 16, 1 << 16), "pixels for height and width, got", "canvas")
    registration(tally, operators.mask_paste, (masks, boxes, 40, 48))
    tally.group("edges and errors")


if __name__ == "__main__":
    run(run_goldens, sweep, [edges])
