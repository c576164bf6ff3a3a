"""SegNeXt with FreqFusion in its head, from RGB bytes to labels. Names are those of the released state dict."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from reference import unfold
from reference.freqfusion import FreqFusion


@dataclass(frozen=True)
class Sizes:
    """What tells one SegNeXt from another."""

    dims: tuple = (32, 64, 160, 256)
    depths: tuple = (3, 3, 5, 2)
    mlp_ratios: tuple = (8, 8, 4, 4)
    head_channels: int = 256
    compress_ratio: int = 4


TINY = Sizes()
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class SpatialGate(nn.Module):
    """Strip convolutions of several lengths, as a gate on their own input."""

    def __init__(self, dim):
        super().__init__()
        self.conv0 = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        for i, k in enumerate((7, 11, 21)):
            row = nn.Conv2d(dim, dim, (1, k), padding=(0, k // 2), groups=dim)
            column = nn.Conv2d(dim, dim, (k, 1), padding=(k // 2, 0), groups=dim)
            self.add_module(f"conv{i}_1", row)
            self.add_module(f"conv{i}_2", column)
        self.conv3 = nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        near = self.conv0(x)
        total = near
        for i in range(3):
            row, column = self.get_submodule(f"conv{i}_1"), self.get_submodule(f"conv{i}_2")
            total = total + column(row(near))
        return self.conv3(total) * x


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj_1 = nn.Conv2d(dim, dim, 1)
        self.spatial_gating_unit = SpatialGate(dim)
        self.proj_2 = nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        return self.proj_2(self.spatial_gating_unit(F.gelu(self.proj_1(x)))) + x


class DepthwiseConv(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x):
        return self.dwconv(x)


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x):
        return self.fc2(F.gelu(self.dwconv(self.fc1(x))))


class Block(nn.Module):
    def __init__(self, dim, ratio):
        super().__init__()
        self.norm1, self.attn = nn.BatchNorm2d(dim), Attention(dim)
        self.norm2, self.mlp = nn.BatchNorm2d(dim), Mlp(dim, dim * ratio)
        self.layer_scale_1 = nn.Parameter(torch.full((dim,), 0.01))
        self.layer_scale_2 = nn.Parameter(torch.full((dim,), 0.01))

    def forward(self, x):
        x = x + self.layer_scale_1.view(-1, 1, 1) * self.attn(self.norm1(x))
        return x + self.layer_scale_2.view(-1, 1, 1) * self.mlp(self.norm2(x))


class Embedding(nn.Module):
    """Halves the sides: a convolution of stride 2 and a norm."""

    def __init__(self, channels, dim):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x):
        return self.norm(self.proj(x))


class Stem(nn.Module):
    """Quarters the sides of the image."""

    def __init__(self, dim):
        super().__init__()
        half = dim // 2
        self.proj = nn.Sequential(
            nn.Conv2d(3, half, 3, stride=2, padding=1),
            nn.BatchNorm2d(half),
            nn.GELU(),
            nn.Conv2d(half, dim, 3, stride=2, padding=1),
            nn.BatchNorm2d(dim),
        )

    def forward(self, x):
        return self.proj(x)


class Mscan(nn.Module):
    def __init__(self, sizes=TINY):
        super().__init__()
        for i, (dim, depth, ratio) in enumerate(zip(sizes.dims, sizes.depths, sizes.mlp_ratios), 1):
            self.add_module(f"patch_embed{i}", Stem(dim) if i == 1 else Embedding(sizes.dims[i - 2], dim))
            self.add_module(f"block{i}", nn.Sequential(*(Block(dim, ratio) for _ in range(depth))))
            self.add_module(f"norm{i}", nn.LayerNorm(dim))

    def forward(self, x):
        maps = []
        for i in range(1, 5):
            x = self.get_submodule(f"block{i}")(self.get_submodule(f"patch_embed{i}")(x))
            x = self.get_submodule(f"norm{i}")(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            maps.append(x)
        return maps


class ConvNorm(nn.Module):
    """A 1x1 convolution, here and there with a GroupNorm of 32 groups."""

    def __init__(self, channels, out, norm=True):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 1, bias=not norm)
        self.gn = nn.GroupNorm(32, out) if norm else None

    def forward(self, x):
        x = self.conv(x)
        return x if self.gn is None else self.gn(x)


class Hamburger(nn.Module):
    """Replaces features by the product of two non-negative factors, found by multiplicative updates."""

    def __init__(self, channels, steps=7):
        super().__init__()
        self.steps = steps
        self.ham_in = ConvNorm(channels, channels, norm=False)
        self.ham_out = ConvNorm(channels, channels)

    def forward(self, x, bases):
        features = F.relu(self.ham_in(x))
        n, channels, height, width = features.shape
        flat = features.view(n, channels, height * width)
        transposed = flat.transpose(1, 2)
        coefficients = (transposed @ bases).softmax(-1)
        for step in range(self.steps + 1):
            wanted, reached = transposed @ bases, coefficients @ (bases.transpose(1, 2) @ bases)
            coefficients = coefficients * wanted / (reached + 1e-6)
            if step < self.steps:
                wanted, reached = flat @ coefficients, bases @ (coefficients.transpose(1, 2) @ coefficients)
                bases = bases * wanted / (reached + 1e-6)
        product = (bases @ coefficients.transpose(1, 2)).view(n, channels, height, width)
        return F.relu(x + self.ham_out(product))


class Head(nn.Module):
    """Fuses the three coarser maps from the coarsest on, then classifies."""

    def __init__(self, classes, operators, sizes=TINY):
        super().__init__()
        fusions, lr = [], sizes.dims[3]
        for hr in (sizes.dims[2], sizes.dims[1]):
            fusions.append(
                FreqFusion(
                    hr,
                    lr,
                    (hr + lr) // sizes.compress_ratio,
                    feature_resample=True,
                    hamming_window=False,
                    direction="sim",
                    operators=operators,
                )
            )
            lr += hr
        self.freqfusions = nn.ModuleList(fusions)
        channels = sizes.head_channels
        self.squeeze = ConvNorm(lr, channels)
        self.hamburger = Hamburger(channels)
        self.align = ConvNorm(channels, channels)
        self.conv_seg = nn.Conv2d(channels, classes, 1)

    def forward(self, maps, bases):
        x = maps[3]
        for fusion, hr in zip(self.freqfusions, (maps[2], maps[1])):
            _, sharpened, upsampled = fusion(hr, x)
            # The offset generator works on four groups of channels: both maps are joined group by group.
            n, _, height, width = sharpened.shape
            groups = [each.reshape(n * 4, -1, height, width) for each in (sharpened, upsampled)]
            x = torch.cat(groups, 1).reshape(n, -1, height, width)
        x = self.hamburger(F.relu(self.squeeze(x)), bases)
        return self.conv_seg(F.relu(self.align(x)))


class SegNeXt(nn.Module):
    """uint8 [H, W, 3] and bases [1, head_channels, 16] -> labels [H, W] and logits [1, classes, H / 8, W / 8]; H, W
    multiples of 32."""

    def __init__(self, classes=150, operators=unfold, sizes=TINY):
        super().__init__()
        self.backbone = Mscan(sizes)
        self.decode_head = Head(classes, operators, sizes)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, image, bases):
        x = image.permute(2, 0, 1).unsqueeze(0).float()
        logits = self.decode_head(self.backbone((x - self.mean) / self.std), bases)
        resized = F.interpolate(logits, size=image.shape[:2], mode="bilinear", align_corners=False)
        return resized.argmax(1)[0], logits
