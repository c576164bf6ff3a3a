"""Exports the bundled layout model for ONNX Runtime: python export_onnx.py FILE

Input `image`: uint8 [H, W, 3] of any size. Output `labels`: uint8 [H, W]. Normalisation, padding, and the way from logits
to labels are in the graph, where they are faster than in JavaScript.
"""

import sys
import warnings

import torch
import torch.nn.functional as F
from layout_model import Layout
from reference import torch_best


class Unrolled(torch_best.Shared):
    """`Shifted` without writing into views, which an export loses. Twice as fast there as unfolded windows."""

    def carafe(self, features, masks, kernel_size, scale=2, border="zeros"):
        n, channels, height, width = features.shape
        around = torch_best.padded(features, kernel_size // 2, border)
        weights = torch_best.split(masks, scale)
        total = 0
        for i in range(kernel_size**2):
            y, left = i // kernel_size, i % kernel_size
            shifted = around[:, :, y : y + height, left : left + width]
            total = total + shifted[:, :, :, None, :, None] * weights[:, i : i + 1]
        return total.reshape(n, channels, scale * height, scale * width)

    def offset_sampler(self, x, offset, groups):
        """As in `unfold`, with sides that stay free in the export: a tensor made of them would hold those of the trace."""
        n, channels, height, width = x.shape
        low_height, low_width = height // 2, width // 2
        moved = offset.view(n, 2, -1, low_height, low_width)
        columns = (torch.arange(low_width) + 0.5).view(1, 1, 1, low_width)
        rows = (torch.arange(low_height) + 0.5).view(1, 1, low_height, 1)
        across = F.pixel_shuffle(2 * (moved[:, 0] + columns) / low_width - 1, 2)
        down = F.pixel_shuffle(2 * (moved[:, 1] + rows) / low_height - 1, 2)
        places = torch.stack([across, down], -1).flatten(0, 1)
        grouped = x.reshape(n * groups, channels // groups, height, width)
        sampled = F.grid_sample(grouped, places, mode="bilinear", padding_mode="border", align_corners=False)
        return sampled.view(n, channels, height, width)


class Whole(torch.nn.Module):
    def __init__(self, layout):
        super().__init__()
        self.layout = layout

    def forward(self, image):
        height, width = image.shape[0], image.shape[1]
        x = image.permute(2, 0, 1).unsqueeze(0).float()
        x = (x - self.layout.network.mean) / self.layout.network.std
        x = F.pad(x, (0, -width % 32, 0, -height % 32))
        logits = self.layout(x)
        resized = F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)
        return resized[0, :, :height, :width].argmax(0).to(torch.uint8)


def export(file):
    warnings.filterwarnings("ignore")
    with torch.no_grad():
        torch.onnx.export(
            Whole(Layout(Unrolled())).eval(),
            (torch.zeros(637, 475, 3, dtype=torch.uint8),),
            file,
            opset_version=18,
            dynamo=False,
            input_names=["image"],
            output_names=["labels"],
            dynamic_axes={"image": {0: "height", 1: "width"}, "labels": {0: "height", 1: "width"}},
        )


if __name__ == "__main__":
    export(sys.argv[1])
