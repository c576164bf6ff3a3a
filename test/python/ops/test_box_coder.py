"""freqfusion::delta2bbox and bbox2delta against their goldens and their inverse.

Usage: python test_box_coder.py LIBRARY GOLDENS
"""

import math
import sys
from pathlib import Path

import torch
from golden import Tally, cases

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def run_goldens(tally):
    for case in cases(Path(sys.argv[2]) / "delta2bbox"):
        config = case.config
        if config.get("op") == "bbox2delta":
            got = operators.bbox2delta(case.inputs["rois"], case.inputs["gt"], config["means"], config["stds"])
            wrong = case.mismatches({"deltas": got})
        else:
            shape = config["max_shape"] and [float(side) for side in config["max_shape"][:2]]
            got = operators.delta2bbox(
                case.inputs["rois"], case.inputs["deltas"], config["means"], config["stds"], shape,
                config["wh_ratio_clip"], config["clip_border"], config["add_ctr_clamp"], config["ctr_clamp"])  # fmt: skip
            wrong = case.mismatches({"bboxes": got})
        tally.check(not wrong, f"golden {case.name}: {wrong}")
    tally.group("golden cases")


def others(tally):
    torch.manual_seed(1)
    corner = torch.rand(50, 2, dtype=torch.float64) * 100
    rois = torch.cat([corner, corner + 5 + torch.rand(50, 2, dtype=torch.float64) * 50], 1)
    target = torch.cat([corner + 3, corner + 20 + torch.rand(50, 2, dtype=torch.float64) * 30], 1)
    scaling = ([0.1, -0.2, 0.3, 0.05], [0.1, 0.1, 0.2, 0.2])
    deltas = operators.bbox2delta(rois, target, *scaling)
    tally.close(operators.delta2bbox(rois, deltas, *scaling), target, 1e-12, 1e-10, "decoding undoes encoding")
    image = lambda t: t.reshape(2, 25, 4)  # noqa: E731
    tally.close(operators.delta2bbox(image(rois), image(deltas), *scaling), image(target), 1e-12, 1e-10, "[N, K, 4]")
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        got = operators.delta2bbox(rois.to(dtype), torch.zeros(50, 12, dtype=dtype))
        tally.check(got.dtype == torch.float32 and got.shape == (50, 12), f"{dtype}, three classes")
        some = torch.randn(50, 4, generator=torch.Generator().manual_seed(2)).to(dtype)
        want = operators.delta2bbox(rois.to(dtype).float(), some.float(), *scaling)
        tally.close(operators.delta2bbox(rois.to(dtype), some, *scaling), want, 0, 0, f"{dtype} in float32")
    tally.check(operators.delta2bbox(rois[:0], deltas[:0]).shape == (0, 4), "no boxes")
    wild = torch.tensor([[0.0, 0, math.nan, 0], [math.inf, 0, 0, 0], [0, 0, 1e9, 1e9]], dtype=torch.float64)
    got = operators.delta2bbox(rois[:3], wild, max_shape=[50.0, 60.0])
    tally.check(bool(got[0].isnan().any()) and not bool(got[0].isnan().all()), "NaN stays where it is")
    tally.check(got[1].tolist()[0] == 60 and got[2].tolist() == [0, 0, 60, 50], "infinity and large deltas are clipped")
    rois.requires_grad_(), deltas.requires_grad_()
    tally.check(torch.autograd.gradcheck(lambda r, d: operators.delta2bbox(r, d, *scaling), (rois[:4], deltas[:4])), "gradient")
    refuse = lambda *a, **k: lambda: operators.delta2bbox(*a, **k)  # noqa: E731
    tally.raises(refuse(rois[:, :3], deltas), r"expected shape \[..., 4\] for rois, got", "rois")
    tally.raises(refuse(rois, deltas[:, :3]), "a multiple of 4 last for deltas, got", "deltas")
    tally.raises(refuse(rois, deltas.float()), r"expected the dtype of rois \(Double\) for deltas, got Float", "dtype")
    tally.raises(refuse(rois, deltas, [0.0]), "expected 4 numbers for means, got 1", "means")
    tally.raises(refuse(rois, deltas, stds=[1.0, 0, 1, 1]), "expected numbers other than 0 for stds, got 0", "stds")
    tally.raises(refuse(rois, deltas, max_shape=[1.0]), "expected 2 numbers for max_shape, got 1", "max_shape")
    tally.raises(refuse(rois, deltas, wh_ratio_clip=0.0), "expected a positive number for wh_ratio_clip", "clip")
    tally.group("others")


if __name__ == "__main__":
    tally = Tally()
    run_goldens(tally)
    others(tally)
    tally.finish()
