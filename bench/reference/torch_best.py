"""The operators in PyTorch's own, without windows unfolded into memory at the output's resolution: `Shifted` adds up the
k * k shifted maps, `Windows` multiplies the windows of each source pixel with the kernels of its output pixels."""

import torch
import torch.nn.functional as F

from reference import unfold


def padded(x, reach, border):
    return F.pad(x, (reach, reach, reach, reach), mode="constant" if border == "zeros" else "reflect")


def split(x, scale):
    """[N, C, s*h, s*w] -> [N, C, h, s, w, s], a view."""
    n, channels, height, width = x.shape
    return x.view(n, channels, height // scale, scale, width // scale, scale)


class Shared:
    """What both have in common."""

    hamming_window = staticmethod(unfold.hamming_window)
    kernel_normalizer = staticmethod(unfold.kernel_normalizer)
    offset_sampler = staticmethod(unfold.offset_sampler)

    def high_pass(self, x, masks, kernel_size, border="zeros"):
        return 2 * x - self.carafe(x, masks, kernel_size, 1, border)

    def local_similarity(self, x, kernel_size=3, dilation=2):
        """Cosine of normalised pixels: the products of shifted maps, each summed over the channels."""
        _, _, height, width = x.shape
        unit = F.normalize(x, dim=1, eps=unfold.smallest_norm(x.dtype))
        around = padded(unit, kernel_size // 2 * dilation, "zeros")
        cosines = []
        for i in range(kernel_size**2):
            if i != kernel_size**2 // 2:
                y, left = dilation * (i // kernel_size), dilation * (i % kernel_size)
                shifted = around[:, :, y : y + height, left : left + width]
                cosines.append((shifted * unit).sum(1, keepdim=True))
        return torch.cat(cosines, 1)


class Shifted(Shared):
    def carafe(self, features, masks, kernel_size, scale=2, border="zeros"):
        n, channels, height, width = features.shape
        last = features.is_contiguous(memory_format=torch.channels_last)
        around = padded(features, kernel_size // 2, border)
        output = torch.zeros(
            (n, channels, scale * height, scale * width), dtype=features.dtype, device=features.device
        ).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
        sums, weights = split(output, scale), split(masks, scale)
        for i in range(kernel_size**2):
            y, left = i // kernel_size, i % kernel_size
            shifted = around[:, :, y : y + height, left : left + width]
            sums.addcmul_(shifted[:, :, :, None, :, None], weights[:, i : i + 1])
        return output


class Windows(Shared):
    def carafe(self, features, masks, kernel_size, scale=2, border="zeros"):
        n, channels, height, width = features.shape
        around = padded(features, kernel_size // 2, border).permute(0, 2, 3, 1)
        windows = around.unfold(1, kernel_size, 1).unfold(2, kernel_size, 1)
        windows = windows.reshape(n * height * width, channels, kernel_size**2)
        weights = split(masks, scale).permute(0, 2, 4, 1, 3, 5).reshape(n * height * width, kernel_size**2, scale**2)
        output = torch.bmm(windows, weights).view(n, height, width, channels, scale, scale)
        output = output.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, scale * height, scale * width)
        if features.is_contiguous(memory_format=torch.channels_last):
            return output.contiguous(memory_format=torch.channels_last)
        return output
