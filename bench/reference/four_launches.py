"""The operators as FreqFusion has them with a CARAFE extension of mmcv's kind; beside CARAFE they are those of `unfold`.

Its forward takes four launches: features and masks are transposed to channels-last, the kernel writes a channels-last
output, and that is transposed back. So it is here, with freqfusion's kernel in the middle and an explicit copy for each
of the others. Two things differ from the extension, both in favour of this one: the kernel accumulates 16-bit values in
float32, where the extension adds in 16 bits, and it takes bfloat16.
"""

import torch

from reference import unfold


def transposed(x):
    """A copy in channels-last, also of a map whose one channel makes both orders the same."""
    return torch.empty_like(x, memory_format=torch.channels_last).copy_(x)


def carafe(features, masks, kernel_size, scale=2, border="zeros"):
    output = torch.ops.freqfusion.carafe(transposed(features), transposed(masks), kernel_size, 1, scale, border)
    return torch.empty_like(output, memory_format=torch.contiguous_format).copy_(output)


def high_pass(x, masks, kernel_size, border="zeros"):
    return x + (x - carafe(x, masks, kernel_size, 1, border))


hamming_window = unfold.hamming_window
kernel_normalizer = unfold.kernel_normalizer
local_similarity = unfold.local_similarity
offset_sampler = unfold.offset_sampler
