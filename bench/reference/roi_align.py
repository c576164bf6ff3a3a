"""RoIAlign with gradients: bilinear samples averaged over bins are two small matrix products, one for each axis."""

import torch


def axis_weights(start, end, bins, length):
    """How much each of `length` cells counts in each bin of the intervals [K]: [K, bins, length].

    A bin takes ceil(its size) evenly spaced samples. A sample beyond -1 or length counts as zero; one in the outermost
    half cells reads the border cell.
    """
    size = (end - start) / bins
    samples = size.ceil().clamp(min=1)
    most = int(samples.max()) if len(samples) else 1
    index = torch.arange(most, dtype=start.dtype)
    fraction = (index + 0.5) / samples[:, None]  # [K, most]
    place = start[:, None, None] + size[:, None, None] * (torch.arange(bins)[:, None] + fraction[:, None])
    counts = (index < samples[:, None])[:, None] & (place >= -1) & (place <= length) & (size > 0)[:, None, None]
    place = place.clamp(0, length - 1)
    cells = torch.arange(length, dtype=start.dtype)
    tent = (1 - (place[..., None] - cells).abs()).clamp(min=0)
    return (tent * counts[..., None]).sum(2) / samples[:, None, None]


def roi_align(features, boxes, bins, scale):
    """features [C, H, W], boxes [K, 4] in pixels of which a cell has 1 / scale -> [K, C, bins, bins]."""
    channels, height, width = features.shape
    x1, y1, x2, y2 = (boxes * scale - 0.5).unbind(1)
    rows = axis_weights(y1, y2, bins, height)
    columns = axis_weights(x1, x2, bins, width)
    by_row = features.transpose(0, 1).reshape(height, channels * width)
    picked = (rows.flatten(0, 1) @ by_row).view(len(boxes), bins * channels, width)
    return (picked @ columns.transpose(1, 2)).view(len(boxes), bins, channels, bins).transpose(1, 2)


def roi_levels(boxes, levels, finest=56):
    """The pyramid level that each box reads: boxes of up to 2 * finest pixels the first, and one more an octave."""
    size = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    return (size / finest + 1e-6).log2().floor().clamp(0, levels - 1).long()


def pyramid_roi_align(levels, boxes, bins, strides=(4, 8, 16, 32)):
    """levels: one image's maps [C, H, W] at the strides -> [K, C, bins, bins]."""
    level = roi_levels(boxes, len(levels))
    out = levels[0].new_zeros(len(boxes), levels[0].shape[0], bins, bins)
    for i, (features, stride) in enumerate(zip(levels, strides)):
        chosen = (level == i).nonzero()[:, 0]
        if len(chosen):
            out = out.index_copy(0, chosen, roi_align(features, boxes[chosen], bins, 1 / stride))
    return out
