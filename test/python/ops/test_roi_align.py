"""freqfusion::roi_align and roi_extract against their goldens and against every sample written out in PyTorch.

Usage: python test_roi_align.py LIBRARY GOLDENS [--sweep]
"""

import math
import sys
from pathlib import Path

import torch
from golden import cases
from operator_checks import TOLERANCES, given_outputs, layouts, memory, registration, row_planar, run, same_format

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def bilinear(plane, y, x):
    """One sample of a map [C, H, W]; 0 outside [-1, H] x [-1, W]."""
    _, h, w = plane.shape
    if not (-1 <= y <= h and -1 <= x <= w):
        return torch.zeros(plane.shape[0], dtype=plane.dtype)
    y, x = max(y, 0.0), max(x, 0.0)
    y0, x0 = min(int(y), h - 1), min(int(x), w - 1)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    fy, fx = (0.0 if y0 == h - 1 else y - y0), (0.0 if x0 == w - 1 else x - x0)
    upper = plane[:, y0, x0] * (1 - fx) + plane[:, y0, x1] * fx
    lower = plane[:, y1, x0] * (1 - fx) + plane[:, y1, x1] * fx
    return upper * (1 - fy) + lower * fy


def reference(features, rois, out_height, out_width, scale=1.0, ratio=0, aligned=True):
    shift = 0.5 if aligned else 0.0
    pooled = []
    for image, *corners in rois.double().tolist():
        x1, y1, x2, y2 = (corner * scale - shift for corner in corners)
        width, height = x2 - x1, y2 - y1
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            pooled.append(torch.full((features.shape[1], out_height, out_width), math.nan, dtype=features.dtype))
            continue
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        bin_h, bin_w = height / out_height, width / out_width
        samples_h, samples_w = ratio or max(math.ceil(bin_h), 0), ratio or max(math.ceil(bin_w), 0)
        plane, bins = features[int(image)], []
        for ph in range(out_height):
            for pw in range(out_width):
                total = torch.zeros(features.shape[1], dtype=features.dtype)
                for i in range(samples_h):
                    for j in range(samples_w):
                        y = y1 + ph * bin_h + (i + 0.5) * bin_h / samples_h
                        x = x1 + pw * bin_w + (j + 0.5) * bin_w / samples_w
                        total = total + bilinear(plane, y, x)
                bins.append(total / max(samples_h * samples_w, 1))
        pooled.append(torch.stack(bins, 1).reshape(-1, out_height, out_width))
    return torch.stack(pooled) if pooled else features.new_zeros((0, features.shape[1], out_height, out_width))


# In units of the map: inside, whole pixels, sub-pixel, across each border, larger than the map, outside on every side,
# without width, without height, a point, reversed, one pixel.
BOXES = [
    (0.9, 1.2, 7.3, 6.1), (2, 1, 6, 5), (3.2, 2.4, 3.5, 2.6), (-2.7, -1.4, 4.2, 3.3), (5.1, 3.9, 14.6, 11.2),
    (-4.03, -5.02, 17, 15), (-9, 1, -3, 4), (2, -9, 5, -3), (13, 2, 16, 6), (3, 11, 5, 14), (3.3, 1, 3.3, 5),
    (1, 4.2, 6, 4.2), (4, 3, 4, 3), (6, 5, 2, 1), (3, 3, 4, 4),
]  # fmt: skip


def boxes(images, dtype=torch.float32):
    rows = [(k % images, *box) for k, box in enumerate(BOXES)]
    return torch.tensor(rows, dtype=dtype)


def features_of(shape, dtype, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def run_goldens(tally):
    for case in cases(Path(sys.argv[2]) / "roi_align"):
        config = dict(case.config)
        size = config["output_size"]
        size = (size, size) if isinstance(size, int) else tuple(size)
        rois = case.inputs["rois"]
        if "featmap_strides" in config:
            maps = [case.inputs[f"p{i + 2}"] for i in range(len(config["featmap_strides"]))]
            scales = [1 / stride for stride in config["featmap_strides"]]
            out = operators.roi_extract(maps, rois, scales, *size, config["sampling_ratio"])
            level = operators.roi_levels(rois, len(maps), config["finest_scale"])
            wrong = case.mismatches({"out": out, "level": level})
        else:
            arguments = (*size, config["spatial_scale"], config["sampling_ratio"], config["aligned"])
            wrong = case.mismatches({"out": operators.roi_align(case.inputs["feat"], rois, *arguments)})
        tally.check(not wrong, f"golden {case.name}: {wrong}")
    tally.group("golden cases")


SETTINGS = [
    (7, 7, 1.0, 0, True),
    (3, 2, 1.0, 0, True),
    (2, 5, 1.0, 2, True),
    (4, 4, 0.5, 0, False),
    (1, 1, 1.0, 3, False),
    (14, 9, 1.0, 1, True),
]


def sweep(tally):
    """Every dtype, layout and channel count against the samples in float64."""
    for channels, setting in ((5, SETTINGS[0]), (16, SETTINGS[1]), (70, SETTINGS[1]), (33, SETTINGS[2]),
                              (3, SETTINGS[3]), (9, SETTINGS[4]), (4, SETTINGS[5])):  # fmt: skip
        for dtype, (rtol, atol) in TOLERANCES.items():
            features = features_of((2, channels, 9, 11), dtype)
            rois = boxes(2, torch.float64 if dtype == torch.float64 else torch.float32)
            want = reference(features.double(), rois, *setting)
            grad = features_of(want.shape, dtype, 5)
            leaf = features.double().requires_grad_()
            (reference(leaf, rois, *setting) * grad.double()).sum().backward()
            for name, view in [*layouts(features), ("row-planar", row_planar(features))]:
                what = f"{channels} channels, {setting}, {dtype}, {name}"
                output = operators.roi_align(view, rois, *setting)
                tally.close(output, want, rtol, atol, what)
                same_format(tally, view, output, what)
            for name, view in layouts(grad):
                got = operators.roi_align_backward(view, rois, features.shape, *setting)
                # Sums over hundreds of samples in which values cancel.
                tally.close(got, leaf.grad, 8 * rtol, 8 * atol, f"gradient: {channels}, {setting}, {dtype}, {name}")


def outputs(tally):
    """roi_align.out fills outputs of any layout and nothing else."""
    features, rois = features_of((2, 21, 9, 11), torch.float32), boxes(2)
    want = operators.roi_align(features, rois, 3, 4)
    for source_name, source in layouts(features):
        for layout, out in given_outputs(want.shape, want.dtype):
            what = f"out: features {source_name}, output {layout}"
            result = operators.roi_align(source, rois, 3, 4, out=out)
            tally.check(result.data_ptr() == out.data_ptr(), f"{what}: returns out")
            tally.close(out, want, 1e-5, 1e-6, what)
            everything = torch.empty(0, dtype=out.dtype).set_(out.untyped_storage())
            written = everything.numel() - int(everything.isnan().sum())
            tally.check(written == out.numel(), f"{what}: {written} values written, expected {out.numel()}")
    tally.raises(lambda: operators.roi_align(features, rois, 3, 4, out=want[1:]), "expected shape .* for out", "shape")
    tally.group("given outputs")


def edges(tally):
    features = features_of((2, 5, 9, 11), torch.float32)
    rois = boxes(2)
    bad = torch.tensor([[0, math.nan, 1, 2, 3], [1, 0, 0, math.inf, 4], [0, -math.inf, 0, 4, 4], [0, 1, 1, 5, 5.0]])
    for view in (features, features.contiguous(memory_format=torch.channels_last)):
        output = operators.roi_align(view, bad, 2, 2)
        tally.check(bool(output[:3].isnan().all()), "boxes that are not finite give NaN")
        tally.close(output[3:], reference(features, bad[3:], 2, 2), 1e-5, 1e-6, "the box beside them")
        gradient = operators.roi_align_backward(torch.ones_like(output), bad, features.shape, 2, 2, 1.0, 0, True)
        tally.close(gradient.sum(), torch.tensor(20.0), 1e-5, 0, "they have no gradient")
        huge = torch.tensor([[0, -1e9, -1e9, 1e9, 1e9], [0, -1e30, -3, 1e30, 9], [1, 0, 0, 3e38, 1], [0, 0, 0, 1e-30, 1e-30]])
        output = operators.roi_align(view, huge, 7, 7)
        tally.check(bool(output.isfinite().all()), "boxes of any size give numbers, at once")
    for shape in ((2, 5, 9, 0), (2, 5, 0, 11), (2, 0, 9, 11)):
        empty = torch.empty(shape)
        output = operators.roi_align(empty, rois, 3, 3)
        tally.check(output.shape == (len(BOXES), shape[1], 3, 3) and bool((output == 0).all()), f"map {shape}")
        gradient = operators.roi_align_backward(output, rois, shape, 3, 3, 1.0, 0, True)
        tally.check(gradient.shape == shape, f"gradient of a map {shape}")
    none = operators.roi_align(features, rois[:0], 7, 7)
    tally.check(none.shape == (0, 5, 7, 7), "no boxes")
    gradient = operators.roi_align_backward(none, rois[:0], features.shape, 7, 7, 1.0, 0, True)
    tally.check(gradient.shape == features.shape and not gradient.any(), "no boxes, no gradient")
    for image in (-1, 2, math.nan, 1e30):
        wrong = rois.clone()
        wrong[3, 0] = image
        tally.raises(lambda: operators.roi_align(features, wrong, 7, 7), "expected .* for .*rois.*, got", f"image {image}")
        tally.raises(
            lambda: operators.roi_align_backward(torch.zeros(len(BOXES), 5, 7, 7), wrong, features.shape, 7, 7, 1.0, 0, True),
            "expected .* for .*rois.*, got", f"image {image} in the gradient")
    many = torch.cat([rois] * 300)
    want = operators.roi_align(features, rois, 3, 3)
    tally.close(operators.roi_align(features, many, 3, 3)[-len(BOXES):], want, 0, 0, "more boxes than one batch")
    strided = torch.full((len(BOXES), 12), math.nan)
    strided[:, ::2][:, :5] = rois
    tally.close(operators.roi_align(features, strided[:, ::2][:, :5], 3, 3), want, 0, 0, "boxes with steps between them")
    refuse = lambda *a, **k: lambda: operators.roi_align(*a, **k)  # noqa: E731
    tally.raises(refuse(features[0], rois, 7, 7), "expected 4 dimensions .* for features, got 3", "rank of features")
    tally.raises(refuse(features.int(), rois, 7, 7), "expected float32.* for features, got Int", "dtype of features")
    tally.raises(refuse(features, rois[:, 1:], 7, 7), r"expected shape \[K, 5\] for rois, got", "shape of rois")
    tally.raises(refuse(features, rois.double(), 7, 7), "expected Float for rois .*, got Double", "dtype of rois")
    tally.raises(refuse(features, rois, 0, 7), r"expected 1..256 for out_height, got 0", "out_height")
    tally.raises(refuse(features, rois, 7, 257), r"expected 1..256 for out_width, got 257", "out_width")
    tally.raises(refuse(features, rois, 7, 7, 0.0), "expected a positive number for spatial_scale, got 0", "scale")
    tally.raises(refuse(features, rois, 7, 7, 1.0, 65), "expected 0..64 for sampling_ratio, got 65", "ratio")
    tally.group("edges and errors")


def gradients(tally):
    rois = boxes(2, torch.float64)
    for setting in SETTINGS[1:5]:
        features = features_of((2, 2, 7, 6), torch.float64).requires_grad_()
        call = lambda x: operators.roi_align(x, rois, *setting)  # noqa: E731, B023
        tally.check(torch.autograd.gradcheck(call, (features,), nondet_tol=1e-10), f"gradcheck {setting}")
        tally.check(torch.autograd.gradgradcheck(call, (features,), nondet_tol=1e-10), f"gradgradcheck {setting}")
    maps = [features_of((2, 2, 64 // s, 64 // s), torch.float64, s).requires_grad_() for s in (4, 8, 16)]
    sized = torch.tensor([[0, 1, 1, 30, 40], [1, 0, 0, 200, 150], [1, 3, 5, 120, 160], [0, 2, 2, 9, 9]]).double()
    call = lambda *x: operators.roi_extract(list(x), sized, [1 / 4, 1 / 8, 1 / 16], 2, 2)  # noqa: E731
    tally.check(torch.autograd.gradcheck(call, maps, nondet_tol=1e-10), "gradcheck roi_extract")
    registration(tally, operators.roi_align.default, (features_of((2, 3, 7, 6), torch.float32), boxes(2), 3, 3))
    registration(tally, operators.roi_align_backward.default,
                 (torch.randn(len(BOXES), 3, 3, 3), boxes(2), [2, 3, 7, 6], 3, 3, 1.0, 0, True))  # fmt: skip
    tally.group("gradients and registration")


def pyramid(tally):
    """roi_extract is roi_align of each box on its own level."""
    strides = (4, 8, 16, 32)
    sizes = [3.0, 40, 111.9, 112, 112.1, 223, 224, 447, 448, 900]
    rows = [(k % 2, 5 + k, 7, 5 + k + size, 7 + size) for k, size in enumerate(sizes)]
    rois = torch.tensor([*rows, (0, 9, 9, 4, 20), (1, math.nan, 0, 3, 3)])
    levels = operators.roi_levels(rois, 4)
    tally.check(levels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 0, 0], f"levels are {levels.tolist()}")
    tally.check(operators.roi_levels(rois[:, 1:], 4).equal(levels), "levels of boxes [K, 4]")
    for dtype in (torch.float32, torch.bfloat16):
        for memory_format in (torch.contiguous_format, torch.channels_last):
            maps = [features_of((2, 20, 256 // s, 320 // s), dtype, s).contiguous(memory_format=memory_format) for s in strides]
            output = operators.roi_extract(maps, rois, [1 / s for s in strides], 7, 7)
            for k, level in enumerate(levels.tolist()):
                alone = operators.roi_align(maps[level], rois[k : k + 1], 7, 7, 1 / strides[level])
                tally.close(output[k : k + 1].nan_to_num(9), alone.nan_to_num(9), 1e-6, 1e-7, f"box {k}, {dtype}")
    tally.check(operators.roi_extract(maps, rois[:0], [1 / s for s in strides], 7, 7).shape == (0, 20, 7, 7), "no boxes")
    tally.raises(lambda: operators.roi_extract([], rois, [], 7, 7), "expected at least one map for features", "no map")
    tally.raises(lambda: operators.roi_extract(maps, rois, [1.0], 7, 7), "for spatial_scales, got 1", "scales")
    tally.group("pyramid")


def footprint(tally):
    features = torch.randn(1, 256, 50, 76)
    corners = torch.rand(500, 2) * 40
    rois = torch.cat([torch.zeros(500, 1), corners, corners + 1 + torch.rand(500, 2) * 20], 1)
    memory(tally, lambda: operators.roi_align(features, rois, 7, 7), [features, rois], "forward")
    tally.group("memory")


if __name__ == "__main__":
    run(run_goldens, sweep, [outputs, edges, gradients, pyramid, footprint])
