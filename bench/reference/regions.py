"""The operators on regions as PyTorch has them: two matrix products a region, a loop over boxes, grid_sample."""

import torch
import torch.nn.functional as F


def taps(start, length, bins, side):
    """[bins, side]: what each row (or column) of a map counts for in each bin of a region, averaged over its samples."""
    size = length / bins
    samples = max(int(-(-size // 1)), 1)
    index = torch.arange(bins * samples, dtype=torch.float32)
    at = start + (index + 0.5) * (size / samples)
    inside = (at >= -1) & (at <= side)
    at = at.clamp(0, side - 1)
    low = at.floor().long()
    high = (low + 1).clamp(max=side - 1)
    share = at - low
    weights = torch.zeros(bins * samples, side)
    rows = torch.arange(bins * samples)
    weights[rows, low] += (1 - share) * inside
    weights[rows, high] += share * inside
    return weights.view(bins, samples, side).mean(1)


def roi_align(features, rois, size, scale):
    """Averages of bilinear samples, as many a bin as it has pixels. [1, C, H, W], [K, 5] -> [K, C, size, size]."""
    _, channels, height, width = features.shape
    output = features.new_empty(len(rois), channels, size, size)
    for i, (x1, y1, x2, y2) in enumerate((rois[:, 1:] * scale - 0.5).tolist()):
        across = taps(x1, x2 - x1, size, width)
        down = taps(y1, y2 - y1, size, height)
        # The part of the map that the region touches: products with zeros would be most of the work.
        left, right = span(across)
        top, bottom = span(down)
        part = features[0, :, top:bottom, left:right]
        output[i] = down[:, top:bottom] @ part @ across[:, left:right].T
    return output


def span(weights):
    touched = weights.any(0).nonzero()
    return (0, 1) if len(touched) == 0 else (int(touched[0]), int(touched[-1]) + 1)


def batched_nms(boxes, scores, groups, threshold):
    """Indices of the boxes that no better one of the same group overlaps by more than the threshold, best first."""
    if len(boxes) == 0:
        return torch.empty(0, dtype=torch.long)
    moved = boxes + groups.to(boxes)[:, None] * (boxes.max() + 1)
    order = scores.argsort(descending=True, stable=True)
    moved = moved[order]
    areas = (moved[:, 2] - moved[:, 0]) * (moved[:, 3] - moved[:, 1])
    alive = torch.ones(len(moved), dtype=torch.bool)
    kept = []
    for i in range(len(moved)):
        if not alive[i]:
            continue
        kept.append(i)
        rest = moved[i + 1 :]
        corner = torch.minimum(moved[i, 2:], rest[:, 2:]) - torch.maximum(moved[i, :2], rest[:, :2])
        overlap = corner.clamp(min=0).prod(1)
        alive[i + 1 :] &= overlap / (areas[i] + areas[i + 1 :] - overlap) <= threshold
    return order[torch.tensor(kept)]


def mask_paste(masks, boxes, height, width):
    """Masks [K, h, w] of regions on a canvas each, by window. -> bool [K, height, width]."""
    canvas = torch.zeros(len(masks), height, width, dtype=torch.bool)
    for mask, (x1, y1, x2, y2), target in zip(masks, boxes.tolist(), canvas):
        left, top = max(int(x1) - 1, 0), max(int(y1) - 1, 0)
        right, bottom = min(int(x2) + 2, width), min(int(y2) + 2, height)
        x = (torch.arange(left, right) + 0.5 - x1) / (x2 - x1) * 2 - 1
        y = (torch.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * 2 - 1
        grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], -1)
        values = F.grid_sample(mask[None, None], grid[None], align_corners=False)
        target[top:bottom, left:right] = values[0, 0] >= 0.5
    return canvas
