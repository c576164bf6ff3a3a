"""bench/reference/mask_rcnn.py against the released Mask R-CNN's golden cases: python test_mask_rcnn.py LIBRARY GOLDENS

That network is what models/shapes was trained as and what its reference results come from. In float64, so that the
goldens' own rounding is all that stands between the two.
"""

import math
import re
import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parent / "ops"), str(Path(__file__).parents[2] / "bench")]

from golden import Tally, cases, uniform  # noqa: E402
from reference import library  # noqa: E402
from reference.mask_rcnn import MaskRcnn, paste_mask  # noqa: E402


def synthetic(name, shape, case):
    """A parameter's value by the rule of test/goldens/README.md."""
    last = name.rsplit(".", 1)[-1]
    if last in ("running_var", "running_mean", "bias"):
        low, high = {"running_var": (0.5, 1.5), "running_mean": (-0.1, 0.1), "bias": (-0.05, 0.05)}[last]
    elif len(shape) <= 1:
        low, high = 0.8, 1.2
    else:
        high = math.sqrt(3 / math.prod(shape[1:]))
        low = -high
    value = uniform(name, shape, low, high, case.json["seed"])
    for pattern, factor in case.json.get("weightGain", {}).items():
        if re.search(pattern, name):
            value = value * torch.tensor(factor)
    return value


def test_settings(config):
    rpn, rcnn = config["rpn"], config["rcnn"]
    return {
        "rpn": {
            "nms_pre": rpn["nms_pre"],
            "max_per_img": rpn["max_per_img"],
            "iou_threshold": rpn["nms"]["iou_threshold"],
        },
        "rcnn": {
            "score_thr": rcnn["score_thr"],
            "iou_threshold": rcnn["nms"]["iou_threshold"],
            "class_agnostic": False,
            "max_per_img": rcnn["max_per_img"],
        },
    }


def check(tally, case, model):
    parameters = case.json["parameters"]
    listed = [(each["name"], tuple(each["shape"])) for each in parameters]
    tally.check(listed == [(name, tuple(value.shape)) for name, value in model.state_dict().items()], "names in order")
    values = {p["name"]: synthetic(p["name"], p["shape"], case) for p in parameters if p["how"] == "synth"}
    model.load_state_dict(values, strict=False)
    config = case.config
    scale = torch.tensor(config["scale_factor"], dtype=torch.float64) if config["rescale"] else None
    image = case.inputs["img"].double()
    out = model.detect(image, config["img_shape"][:2], scale, test_settings(config["test_cfg"]))
    height, width = config["ori_shape" if config["rescale"] else "img_shape"][:2]
    pasted = zip(out["mask_logits"], out["paste_boxes"])
    masks = torch.stack([paste_mask(logits, box, height, width) for logits, box in pasted])
    out["mask_area"] = masks.sum((1, 2))
    out["mask_pick"] = case.expected["mask_pick"]  # which masks are stored
    out["masks_picked"] = masks[out["mask_pick"].long()].long()
    wrong = case.mismatches(out)
    for entry in case.json["outputs"]:
        failures = [line for line in wrong if line.startswith(f"{entry['name']}:")]
        tally.check(not failures, f"{case.name}: {failures}")


def main(path, goldens):
    library.load(path)
    tally = Tally()
    model = MaskRcnn(operators=library).eval().double()
    whole = [case for case in cases(Path(goldens) / "mask_rcnn_r50_freqfusion") if case.name.startswith("full")]
    tally.check(len(whole) > 0, "there are cases of the whole detector")
    for case in whole:
        check(tally, case, model)
        tally.group(case.name)
    tally.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
