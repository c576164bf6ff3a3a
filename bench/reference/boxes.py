"""Anchors, box deltas, overlaps and suppression as mmdet 2 computes them. Boxes are (x1, y1, x2, y2), float32."""

import math

import numpy as np
import torch

MAX_LOG_RATIO = math.log(1000 / 16)


def grid_anchors(height, width, stride, scale=8, ratios=(0.5, 1.0, 2.0)):
    """Anchors of a level, ordered by row, column, ratio: [height * width * ratios, 4]."""
    root = torch.tensor(ratios).sqrt()
    half_width, half_height = 0.5 * scale * stride / root, 0.5 * scale * stride * root
    base = torch.stack([-half_width, -half_height, half_width, half_height], 1)
    x = torch.arange(width, dtype=torch.float32) * stride
    y = torch.arange(height, dtype=torch.float32) * stride
    shift = torch.stack([x.repeat(height), y.repeat_interleave(width)], 1).repeat(1, 2)
    return (shift[:, None] + base).view(-1, 4)


def delta2bbox(boxes, deltas, stds=(1.0, 1.0, 1.0, 1.0), size=None):
    """Boxes [N, 4] moved by deltas [N, 4 * M] -> [N, 4 * M], clipped to size (height, width) where given."""
    deltas = deltas.view(len(boxes), -1, 4) * deltas.new_tensor(stds)
    corner, extent = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    centre = (corner + boxes[:, None, 2:]) * 0.5 + deltas[..., :2] * extent
    half = 0.5 * extent * deltas[..., 2:].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    moved = torch.cat([centre - half, centre + half], -1)
    if size is not None:
        height, width = size
        moved = torch.stack([moved[..., 0::2].clamp(0, width), moved[..., 1::2].clamp(0, height)], -1)
    return moved.reshape(len(boxes), -1)


def bbox2delta(boxes, targets, stds=(1.0, 1.0, 1.0, 1.0)):
    """The deltas [N, 4] that move boxes [N, 4] onto targets [N, 4]."""
    extent = boxes[:, 2:] - boxes[:, :2]
    target_extent = targets[:, 2:] - targets[:, :2]
    shift = (targets[:, :2] + targets[:, 2:] - boxes[:, :2] - boxes[:, 2:]) * 0.5 / extent
    return torch.cat([shift, (target_extent / extent).log()], 1) / boxes.new_tensor(stds)


def box_iou(a, b):
    """Overlaps of boxes [N, 4] and [M, 4]: [N, M]."""
    corner = torch.maximum(a[:, None, :2], b[None, :, :2])
    shared = (torch.minimum(a[:, None, 2:], b[None, :, 2:]) - corner).clamp(min=0).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return shared / (area_a[:, None] + area_b - shared)


def nms(boxes, scores, threshold):
    """Indices kept, best score first: a box goes when it overlaps a better kept one by more than the threshold."""
    order = scores.argsort(descending=True, stable=True).numpy()
    x1, y1, x2, y2 = boxes.numpy()[order].T
    area = (x2 - x1) * (y2 - y1)
    alive, kept = np.ones(len(order), bool), []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        width = np.minimum(x2[i], x2[i + 1 :]) - np.maximum(x1[i], x1[i + 1 :])
        height = np.minimum(y2[i], y2[i + 1 :]) - np.maximum(y1[i], y1[i + 1 :])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore"):  # two boxes without area: 0 / 0 suppresses nothing
            alive[i + 1 :] &= ~(shared / (area[i] + area[i + 1 :] - shared) > np.float32(threshold))
    return torch.from_numpy(order[kept].copy())


def batched_nms(boxes, scores, groups, threshold):
    """As nms, within each group: boxes of different groups are moved apart first."""
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64)
    return nms(boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None], scores, threshold)
