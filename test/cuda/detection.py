"""The operators of detectors on a GPU against their CPU kernels."""

import math

import torch
from golden import uniform
from operator_checks import TOLERANCES

SETTINGS = [(7, 7, 0.25, 0, True), (3, 5, 1.0, 2, True), (2, 2, 0.5, 0, False)]


def values(name, *shape, low=0.0, high=1.0):
    return uniform(f"cuda/{name}", list(shape), low, high)


def boxes_of(count, extent, size):
    corner = values("corner", count, 2, low=-0.1 * extent, high=extent)
    return torch.cat([corner, corner + values("side", count, 2) * size], 1)


def rois_of(count, images, extent, size):
    image = (torch.arange(count) % images).float()[:, None]
    odd = torch.tensor([[0, math.nan, 0, 3, 3], [0, 1, 1, 1, 9], [0, 5, 5, 2, 2], [0, -1e9, -3, 1e9, 50]])
    return torch.cat([torch.cat([image, boxes_of(count, extent, size)], 1), odd])


def pooling(tally, device):
    ops = torch.ops.freqfusion
    for dtype, (rtol, atol) in TOLERANCES.items():
        rois = rois_of(60, 2, 150, 120).to(torch.float64 if dtype == torch.float64 else torch.float32)
        for channels in (3, 16, 40):
            features = values("map", 2, channels, 40, 44, low=-1).to(dtype)
            for setting in SETTINGS:
                want = ops.roi_align(features, rois, *setting).nan_to_num(9)
                grad = values("grad", *want.shape, low=-1).to(dtype)
                wanted = ops.roi_align_backward(grad, rois, features.shape, *setting)
                for memory_format in (torch.contiguous_format, torch.channels_last):
                    what = f"roi_align {channels} channels {setting} {dtype} {memory_format}"
                    given = features.to(device).contiguous(memory_format=memory_format)
                    got = ops.roi_align(given, rois.to(device), *setting)
                    tally.close(got.cpu().nan_to_num(9), want, rtol, atol, what)
                    given = grad.to(device).contiguous(memory_format=memory_format)
                    got = ops.roi_align_backward(given, rois.to(device), features.shape, *setting)
                    largest = max(1.0, float(wanted.abs().max()))
                    tally.close(got.cpu(), wanted, 4 * rtol, 4 * atol * largest, f"gradient of {what}")
    maps = [values(f"level{i}", 2, 16, 256 >> i, 320 >> i, low=-1) for i in range(4)]
    rois = rois_of(90, 2, 900, 900)
    scales = [1 / (4 << i) for i in range(4)]
    want = ops.roi_extract(maps, rois, scales, 7, 7).nan_to_num(9)
    got = ops.roi_extract([level.to(device) for level in maps], rois.to(device), scales, 7, 7)
    tally.close(got.cpu().nan_to_num(9), want, 1e-4, 2e-5, "roi_extract")
    wrong = rois.clone()
    wrong[3, 0] = 2
    tally.raises(lambda: ops.roi_align(maps[0].to(device), wrong.to(device), 7, 7), "image ind", "an image outside")
    tally.group("roi_align, roi_extract")


def suppression(tally, device):
    ops = torch.ops.freqfusion
    for count in (0, 1, 63, 64, 65, 3000, 40000):
        boxes, scores = boxes_of(count, 400, 60), values("score", count)
        for dtype in (torch.float32, torch.float64):
            for arguments in ((0.5, 0), (0.3, 1), (0.7, 0, 0.2, 100)):
                want = ops.nms(boxes.to(dtype), scores, *arguments)
                got = ops.nms(boxes.to(device, dtype), scores.to(device), *arguments)
                tally.check(got.cpu().equal(want), f"nms of {count}, {dtype}, {arguments}")
    boxes, scores, labels = boxes_of(500, 300, 80), values("score", 500), torch.arange(500) % 9
    for split in (0, 10000):
        want = ops.batched_nms(boxes, scores, labels, 0.5, False, split)
        got = ops.batched_nms(boxes.to(device), scores.to(device), labels.to(device), 0.5, False, split)
        tally.check(got.cpu().equal(want), f"batched_nms, split from {split}")
    table = values("table", 500, 9)
    want, got = ops.multiclass_nms(boxes, table), ops.multiclass_nms(boxes.to(device), table.to(device))
    for a, b in zip(got, want):
        tally.check(a.cpu().equal(b), "multiclass_nms")
    tally.group("nms, batched_nms, multiclass_nms")


def masks(tally, device):
    ops = torch.ops.freqfusion
    boxes = torch.cat([boxes_of(20, 60, 40), torch.tensor([[5, 5, 5, 20], [9, 9, 9, 9], [8, 8, 2, 2], [math.nan, 0, 9, 9]])])
    for dtype, tolerance in ((torch.float32, 2e-5), (torch.float64, 1e-11), (torch.float16, 2e-5)):
        sheets = values("sheet", len(boxes), 28, 28).to(dtype)
        for tight in (True, False):
            want = ops.mask_paste(sheets, boxes, 50, 70, tight)
            got = ops.mask_paste(sheets.to(device), boxes.to(device), 50, 70, tight)
            tally.close(got.cpu(), want, 0, tolerance, f"mask_paste {dtype} tight={tight}")
        want, got = ops.mask_runs(sheets, boxes, 50, 70), ops.mask_runs(sheets.to(device), boxes.to(device), 50, 70)
        for a, b in zip(got, want):
            tally.check(a.equal(b), f"mask_runs {dtype}")
    rois, deltas = boxes_of(30, 100, 40), values("delta", 30, 12, low=-2, high=2)
    got = ops.delta2bbox(rois.to(device), deltas.to(device), max_shape=[80.0, 90.0])
    tally.close(got.cpu(), ops.delta2bbox(rois, deltas, max_shape=[80.0, 90.0]), 1e-4, 1e-3, "delta2bbox")
    tally.group("mask_paste, mask_runs, delta2bbox")


def test_detection(tally, device):
    pooling(tally, device)
    suppression(tally, device)
    masks(tally, device)
