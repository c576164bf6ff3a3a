"""The shapes detector's network, its input and its file."""

import torch

from reference.mask_rcnn import MaskRcnn
from shapes.scenes import CLASSES

WIDTHS = {
    "depth": 18,
    "classes": len(CLASSES),
    "base_channels": 12,
    "channels": 32,
    "compress_ratio": 4,
    "fc_width": 128,
    "mask_width": 32,
}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def build(operators):
    return MaskRcnn(**WIDTHS, operators=operators)


def normalise(image):
    """uint8 [H, W, 3] RGB -> float32 [3, H, W]."""
    mean, scale = torch.tensor(MEAN), 1 / torch.tensor(STD, dtype=torch.float64)
    return ((torch.from_numpy(image).float() - mean) * scale.float()).permute(2, 0, 1)


def save(model, path, scenes):
    """A file in mmcv's layout."""
    meta = {"CLASSES": CLASSES, "scenes": scenes, "model": "mask_rcnn_r18_freqfusion", "widths": WIDTHS}
    torch.save({"meta": meta, "state_dict": model.state_dict()}, path)
