"""FreqFusion's forward as the paper and the released code compute it (semi_conv and comp_feat_upsample on).

Parameters have the names of the released state dict. `operators` is a module with the five operators: `unfold` (plain
PyTorch) or `library` (freqfusion's own, inside PyTorch).
"""

import torch
import torch.nn.functional as F
from torch import nn

from reference import unfold


def first_offsets(groups):
    """Where the four output pixels of a source pixel lie, in source pixels: [1, 8 * groups, 1, 1], x before y."""
    side = torch.tensor([-0.25, 0.25])
    x = side.view(1, 1, 2).expand(groups, 2, 2)
    y = side.view(1, 2, 1).expand(groups, 2, 2)
    return torch.stack([x, y]).reshape(1, -1, 1, 1)


class OffsetGenerator(nn.Module):
    """Resamples the upsampled map where neighbours are more alike."""

    def __init__(self, channels, groups=4, direction="sim_concat", operators=unfold):
        super().__init__()
        self.operators, self.groups, self.direction = operators, groups, direction
        similarities = 8
        direct = channels + similarities if direction == "sim_concat" else similarities
        scale = channels + similarities if direction == "sim_concat" else channels
        self.register_buffer("init_pos", first_offsets(groups))
        self.offset = nn.Conv2d(direct, 8 * groups, 3, padding=1)
        self.direct_scale = nn.Conv2d(scale, 8 * groups, 3, padding=1)
        self.hr_offset = nn.Conv2d(direct, 2 * groups, 3, padding=1)
        self.hr_direct_scale = nn.Conv2d(scale, 2 * groups, 3, padding=1)
        self.norm_hr = nn.GroupNorm(channels // 8, channels)
        self.norm_lr = nn.GroupNorm(channels // 8, channels)

    def forward(self, hr, lr, features):
        hr, lr = self.norm_hr(hr), self.norm_lr(lr)
        hr_sim = self.operators.local_similarity(hr)
        lr_sim = self.operators.local_similarity(lr)
        if self.direction == "sim_concat":
            hr_direct = hr_scale = torch.cat([hr, hr_sim], 1)
            lr_direct = lr_scale = torch.cat([lr, lr_sim], 1)
        else:
            hr_direct, hr_scale, lr_direct, lr_scale = hr_sim, hr, lr_sim, lr
        offset = self.offset(lr_direct) + F.pixel_unshuffle(self.hr_offset(hr_direct), 2)
        scale = self.direct_scale(lr_scale) + F.pixel_unshuffle(self.hr_direct_scale(hr_scale), 2)
        offset = offset * torch.sigmoid(scale) + self.init_pos
        return self.operators.offset_sampler(features, offset, self.groups)


class FreqFusion(nn.Module):
    """hr [N, C, 2h, 2w] and lr [N, C', h, w] -> (mask_lr, sharpened hr, upsampled lr)."""

    def __init__(
        self,
        hr_channels,
        lr_channels,
        compressed_channels=64,
        feature_resample=False,
        hamming_window=True,
        direction="sim_concat",
        border="zeros",
        operators=unfold,
    ):
        super().__init__()
        self.operators, self.border = operators, border
        compressed = compressed_channels
        for name, kernel_size in (("lowpass", 5), ("highpass", 3)):
            window = unfold.hamming_window(kernel_size) if hamming_window else torch.ones(1, 1)
            stored = window.view(1, 1, *window.shape) if hamming_window else torch.ones(1)
            self.register_buffer(f"hamming_{name}", stored)
        self.hamming = hamming_window
        self.hr_channel_compressor = nn.Conv2d(hr_channels, compressed, 1)
        self.lr_channel_compressor = nn.Conv2d(lr_channels, compressed, 1)
        self.content_encoder = nn.Conv2d(compressed, 25, 3, padding=1)
        self.content_encoder2 = nn.Conv2d(compressed, 9, 3, padding=1)
        self.dysampler = None
        if feature_resample:
            self.dysampler = OffsetGenerator(compressed, direction=direction, operators=operators)

    def low_kernels(self, logits):
        window = self.hamming_lowpass if self.hamming else None
        return self.operators.kernel_normalizer(logits, 5, window)

    def high_kernels(self, logits):
        window = self.hamming_highpass if self.hamming else None
        return self.operators.kernel_normalizer(logits, 3, window)

    def forward(self, hr, lr):
        ops, border = self.operators, self.border
        hr_small = self.hr_channel_compressor(hr)
        lr_small = self.lr_channel_compressor(lr)
        hr_high = self.content_encoder2(hr_small)
        hr_small = ops.high_pass(hr_small, self.high_kernels(hr_high), 3, border)
        hr_low = self.content_encoder(hr_small)
        first = self.low_kernels(hr_low)
        mask_lr = self.low_kernels(hr_low + ops.carafe(self.content_encoder(lr_small), first, 5, 2, border))
        lr_high = ops.carafe(self.content_encoder2(lr_small), mask_lr, 5, 2, border)
        upsampled = ops.carafe(lr, mask_lr, 5, 2, border)
        sharpened = ops.high_pass(hr, self.high_kernels(hr_high + lr_high), 3, border)
        if self.dysampler is not None:
            upsampled = self.dysampler(hr_small, lr_small, upsampled)
        return mask_lr, sharpened, upsampled

    def convolutions(self, hr, lr):
        """All convolutions of the forward on stand-in inputs, channels-last: the floor under any implementation."""
        calls = [
            (self.hr_channel_compressor, hr),
            (self.lr_channel_compressor, lr),
        ]
        hr_small, lr_small = self.hr_channel_compressor(hr), self.lr_channel_compressor(lr)
        for encoder in (self.content_encoder, self.content_encoder2):
            calls += [(encoder, hr_small), (encoder, lr_small)]
        if self.dysampler is not None:
            for name in ("offset", "direct_scale", "hr_offset", "hr_direct_scale"):
                convolution = getattr(self.dysampler, name)
                source = hr_small if name.startswith("hr_") else lr_small
                shape = (source.shape[0], convolution.in_channels, *source.shape[2:])
                calls.append((convolution, torch.randn(shape)))
        last = torch.channels_last
        calls = [(each.to(memory_format=last), x.contiguous(memory_format=last)) for each, x in calls]

        def run():
            for convolution, x in calls:
                convolution(x)

        return run
