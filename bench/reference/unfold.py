"""The operators as PyTorch has them: windows unfolded into memory, then weighed and summed."""

import numpy as np
import torch
import torch.nn.functional as F

from reference.regions import batched_nms, mask_paste, roi_align  # noqa: F401


def carafe(features, masks, kernel_size, scale=2, border="zeros"):
    """Sums each k x k window with the weights of its output pixel. [N, C, h, w], [N, k*k, s*h, s*w] -> [N, C, s*h, s*w]."""
    n, channels, height, width = features.shape
    reach = kernel_size // 2
    mode = "constant" if border == "zeros" else "reflect"
    padded = F.pad(features, (reach, reach, reach, reach), mode=mode)
    windows = F.unfold(padded, kernel_size).view(n, channels * kernel_size**2, height, width)
    if scale != 1:
        windows = F.interpolate(windows, scale_factor=scale, mode="nearest")
    windows = windows.view(n, channels, kernel_size**2, scale * height, scale * width)
    return (windows * masks.unsqueeze(1)).sum(2)


def high_pass(x, masks, kernel_size, border="zeros"):
    """x plus what a smoothing of it takes away: 2 x - carafe(x)."""
    return x + (x - carafe(x, masks, kernel_size, 1, border))


def hamming_window(kernel_size):
    side = np.hamming(kernel_size)
    return torch.from_numpy(np.outer(side, side).astype(np.float32))


def kernel_normalizer(logits, kernel_size, window=None):
    """Softmax over the k * k channels, weighed by a window [k, k] and divided by the sum."""
    kernels = logits.softmax(1)
    if window is not None:
        kernels = kernels * window.reshape(1, -1, 1, 1)
    return kernels / kernels.sum(1, keepdim=True)


def smallest_norm(dtype):
    """What norms are raised to. 1e-8 is 0 in float16, where the zeros around a map would give 0 / 0."""
    return max(1e-8, torch.finfo(dtype).tiny)


def local_similarity(x, kernel_size=3, dilation=2):
    """Cosine of every pixel with the others of its dilated window. [N, C, H, W] -> [N, k*k - 1, H, W]."""
    n, channels, height, width = x.shape
    windows = F.unfold(x, kernel_size, dilation=dilation, padding=kernel_size // 2 * dilation)
    windows = windows.view(n, channels, kernel_size**2, height, width)
    middle = kernel_size**2 // 2
    cosines = F.cosine_similarity(windows, windows[:, :, middle : middle + 1], dim=1, eps=smallest_norm(x.dtype))
    return torch.cat([cosines[:, :middle], cosines[:, middle + 1 :]], dim=1)


def offset_sampler(x, offset, groups):
    """Reads x bilinearly at its own pixels moved by `offset` [N, 8 * groups, h, w], in low-resolution pixels."""
    n, channels, height, width = x.shape
    low_height, low_width = height // 2, width // 2
    columns = torch.arange(low_width, dtype=x.dtype, device=x.device) + 0.5
    rows = torch.arange(low_height, dtype=x.dtype, device=x.device) + 0.5
    grid = torch.stack(
        [
            columns.view(1, -1).expand(low_height, low_width),
            rows.view(-1, 1).expand(low_height, low_width),
        ]
    )
    size = torch.tensor([low_width, low_height], dtype=x.dtype, device=x.device).view(1, 2, 1, 1, 1)
    moved = grid.view(1, 2, 1, low_height, low_width) + offset.view(n, 2, -1, low_height, low_width)
    places = (2 * moved / size - 1).reshape(n, -1, low_height, low_width)
    places = F.pixel_shuffle(places, 2).view(n, 2, groups, height, width)
    places = places.permute(0, 2, 3, 4, 1).flatten(0, 1)
    grouped = x.reshape(n * groups, channels // groups, height, width)
    sampled = F.grid_sample(grouped, places, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.view(n, channels, height, width)
