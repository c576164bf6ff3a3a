"""The same operators by freqfusion's own library, loaded into PyTorch."""

import torch

import reference.unfold as unfold


def load(path):
    """Loads libfreqfusion_ops.so; the functions below work after it."""
    torch.ops.load_library(path)


def carafe(features, masks, kernel_size, scale=2, border="zeros"):
    return torch.ops.freqfusion.carafe(features, masks, kernel_size, 1, scale, border)


def high_pass(x, masks, kernel_size, border="zeros"):
    if hasattr(torch.ops.freqfusion, "high_pass"):
        return torch.ops.freqfusion.high_pass(x, masks, kernel_size, 1, border, True)
    return 2 * x - carafe(x, masks, kernel_size, 1, border)


def kernel_normalizer(logits, kernel_size, window=None):
    return torch.ops.freqfusion.kernel_normalizer(logits, kernel_size, window is not None, 1)


def local_similarity(x, kernel_size=3, dilation=2):
    return torch.ops.freqfusion.local_similarity(x, kernel_size, dilation, "cosine")


def offset_sampler(x, offset, groups):
    return torch.ops.freqfusion.offset_sampler(x, offset, groups)


def has_out():
    """Whether the operators can write into an output that is given."""
    return "out" in torch.ops.freqfusion.carafe.overloads()


def carafe_into(output):
    """CARAFE into one output again and again: what PyTorch's allocator costs is left out."""

    def forward(features, masks):
        return (torch.ops.freqfusion.carafe.out(features, masks, 5, 1, 2, "zeros", out=output),)

    return forward


hamming_window = unfold.hamming_window


def roi_align(features, rois, size, scale):
    return torch.ops.freqfusion.roi_align(features, rois, size, size, scale)


def batched_nms(boxes, scores, groups, threshold):
    return torch.ops.freqfusion.batched_nms(boxes, scores, groups, threshold)


def mask_paste(masks, boxes, height, width):
    return torch.ops.freqfusion.mask_paste(masks, boxes, height, width) >= 0.5
