"""Trains the bundled shapes detector: python bench/shapes/train.py OPERATOR_LIBRARY OUT.pth [--minutes 25]

Runs on one CPU thread in plain PyTorch with freqfusion's operators for the neck. The learning rate falls with the time
that is left; then batch statistics are taken anew over many scenes and frozen. Writes a checkpoint in mmcv's layout.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference import library  # noqa: E402
from shapes.losses import roi_losses, rpn_loss  # noqa: E402
from shapes.model import build, normalise, save  # noqa: E402
from shapes.scenes import draw_scene  # noqa: E402

BATCH, SIDE, SEED = 4, (192, 256), 20261127
WARM_UP, FROZEN_SHARE = 60, 0.15


def initialise(model):
    """Small last layers, so that the first steps change little; the rest as He et al. draw it."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            if name.endswith(("rpn_cls", "rpn_reg", "fc_cls", "fc_reg", "offset", "direct_scale")):
                nn.init.normal_(module.weight, std=0.01)
            elif "content_encoder" in name:
                nn.init.normal_(module.weight, std=0.02)
            elif name.startswith("neck"):
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if "backbone" in name else "fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.constant_(model.rpn_head.rpn_cls.bias, -3.0)


def batch(first):
    """BATCH scenes from seed `first` on: normalised images and what is in them."""
    scenes = [draw_scene(SEED + first + i, *SIDE, most=6) for i in range(BATCH)]
    images = torch.stack([normalise(scene.image) for scene in scenes])
    targets = [
        {name: torch.from_numpy(getattr(scene, name)) for name in ("boxes", "labels", "masks")} for scene in scenes
    ]
    return images, targets


def set_norms(model, training, momentum=0.1):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(training)
            module.momentum = momentum


@torch.no_grad()
def measure_statistics(model, first, batches):
    """Replaces the running statistics by plain means over fresh batches."""
    set_norms(model, True, momentum=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    for i in range(batches):
        model.backbone(batch(first + i * BATCH)[0])
    set_norms(model, False)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("library")
    arguments.add_argument("out")
    arguments.add_argument("--minutes", type=float, default=25)
    arguments.add_argument("--rate", type=float, default=2e-3)
    arguments.add_argument("--resume")
    options = arguments.parse_args()
    library.load(options.library)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = build(library)
    initialise(model)
    seen = 0
    if options.resume:
        stored = torch.load(options.resume, weights_only=True)
        model.load_state_dict(stored["state_dict"])
        seen = stored["meta"]["scenes"]
    set_norms(model, True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=1e-3)
    start, step, frozen = time.time(), 0, False
    while (passed := (time.time() - start) / 60 / options.minutes) < 1:
        if not frozen and passed > 1 - FROZEN_SHARE:
            measure_statistics(model, seen, 40)
            seen, frozen = seen + 40 * BATCH, True
        rate = options.rate * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * passed))
        for group in optimizer.param_groups:
            group["lr"] = max(rate, 1e-5)
        images, targets = batch(seen)
        levels = model.features(images)
        logits, deltas = model.rpn_head(levels)
        first, box = rpn_loss(logits, deltas, targets, generator)
        losses = {"rpn": first, "rpn box": box} | roi_losses(model, levels, logits, deltas, targets, generator)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        seen, step = seen + BATCH, step + 1
        if step % 20 == 0:
            values = "  ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
            print(f"{step} {(time.time() - start) / 60:.1f} min  {values}", flush=True)
        if step % 200 == 0:
            save(model, options.out + ".part", seen)
    save(model, options.out, seen)


if __name__ == "__main__":
    main()
