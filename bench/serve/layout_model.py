"""The bundled layout model in plain PyTorch: from a decoded image to its labels, as freqfusion computes them."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

from reference.segnext import SegNeXt, Sizes  # noqa: E402

FOLDER = ROOT / "models" / "layout"

class Layout(nn.Module):
    """Normalised images [N, 3, H, W], sides multiples of 32 -> logits [N, 5, H / 8, W / 8]."""

    def __init__(self, operators):
        super().__init__()
        config = json.loads((FOLDER / "config.json").read_text())
        backbone, head = (config["network"]["options"][name] for name in ("backbone", "head"))
        sizes = Sizes(
            dims=tuple(backbone["embedDims"]),
            depths=tuple(backbone["depths"]),
            mlp_ratios=tuple(backbone["mlpRatios"]),
            head_channels=head["channels"],
            compress_ratio=head["compressRatio"],
        )
        self.longest = config["preprocess"]["resize"]["size"]
        self.classes = len(config["classes"])
        self.network = SegNeXt(self.classes, operators, sizes)
        stored = torch.load(FOLDER / config["checkpoint"]["file"], map_location="cpu", weights_only=True)
        self.network.load_state_dict(stored["state_dict"])
        bases = config["nmfBases"]
        self.register_buffer("bases", load_file(FOLDER / bases["file"])[bases["tensor"]])
        self.eval()

    def forward(self, x):
        return self.network.decode_head(self.network.backbone(x), self.bases)

    def prepare(self, picture):
        """A picture of Pillow's -> the network's input, and height and width of what of it is image."""
        picture = picture.convert("RGB")
        scale = self.longest / max(picture.size)
        if scale != 1:
            width, height = (int(side * scale + 0.5) for side in picture.size)
            picture = picture.resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
        width, height = picture.size
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).unsqueeze(0)
        x = (pixels.float() - self.network.mean) / self.network.std
        return F.pad(x, (0, -width % 32, 0, -height % 32)), (height, width)


def labels_of(logits, padded, content, size):
    """Logits -> labels uint8 at the image's own size: resized to the input's size, cut to its content, and resized."""
    resized = F.interpolate(logits, size=padded, mode="bilinear", align_corners=False)
    resized = resized[:, :, : content[0], : content[1]]
    if content != size:
        resized = F.interpolate(resized, size=size, mode="bilinear", align_corners=False)
    return resized.argmax(1)[0].to(torch.uint8).numpy()
