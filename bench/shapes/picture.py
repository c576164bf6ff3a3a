"""A picture as the detectors see it: mmdetection's test pipeline, with cv2's bilinear resize of bytes."""

import numpy as np
import torch

from shapes.model import normalise

SCALE, DIVISOR = (320, 256), 64  # longest and shortest side of the network's input


def resized(height, width, scale=SCALE):
    """Size of a picture after the resize that keeps its proportions and fits (longest, shortest) side."""
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def taps(source, target):
    """For each of `target` pixels: two source pixels, the same one beyond a border, and their weights in 2048ths."""
    place = (np.arange(target, dtype=np.float64) + 0.5) * (source / target) - 0.5
    place = place.astype(np.float32)
    first = np.floor(place).astype(np.int64)
    part = place - first.astype(np.float32)
    weights = np.rint(np.stack([1 - part, part]) * np.float32(2048)).astype(np.int64)
    return first.clip(0, source - 1), (first + 1).clip(0, source - 1), weights


def resize(image, height, width):
    """uint8 [h, w, 3] -> uint8 [height, width, 3]: rows, then columns, in fixed point."""
    if image.shape[:2] == (height, width):
        return image
    left, right, (a, b) = taps(image.shape[1], width)
    wide = image.astype(np.int64)
    wide = wide[:, left] * a[:, None] + wide[:, right] * b[:, None]
    top, bottom, (c, d) = taps(image.shape[0], height)
    upper, lower = (wide[top] >> 4) * c[:, None, None] >> 16, (wide[bottom] >> 4) * d[:, None, None] >> 16
    return ((upper + lower + 2) >> 2).clip(0, 255).astype(np.uint8)


def network_input(image, scale=SCALE):
    """uint8 [H, W, 3] RGB -> input [1, 3, H', W'], (height, width) without padding, scale factor float32 [4]."""
    height, width = resized(*image.shape[:2], scale)
    values = normalise(resize(image, height, width))
    padded = torch.zeros(1, 3, -(-height // DIVISOR) * DIVISOR, -(-width // DIVISOR) * DIVISOR)
    padded[0, :, :height, :width] = values
    factor = np.array([width / image.shape[1], height / image.shape[0]] * 2, np.float32)
    return padded, (height, width), torch.from_numpy(factor)
