"""What is compared: the cases, their inputs, and who takes part in which. Imports no torch: the driver stays light."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    name: str
    kind: str  # freqfusion, carafe, segnext or mask_rcnn
    title: str
    shape: str  # in words
    contenders: tuple
    channels: int = 0
    size: tuple = ()  # height and width of the larger map, or of the image
    resample: bool = False
    # Greatest difference from eager that passes, as a share of the greatest value.
    tolerance: float = 2e-4
    outputs: tuple = field(default=("maskLr", "hrFeat", "lrFeat"))


WHOLE = ("ours", "eager", "compile", "onnxruntime", "library", "floor")


def fusion(name, channels, size, resample):
    shape = f"{channels} x {size[0]} x {size[1]}" + (", offset generator" if resample else "")
    return Case(name, "freqfusion", f"FreqFusion {name}", shape, WHOLE, channels, size, resample)


CASES = {
    "A": fusion("A", 128, (512, 512), False),
    "B": fusion("B", 128, (512, 512), True),
    "C": fusion("C", 256, (200, 304), True),
    "D": fusion("D", 64, (128, 128), True),
    "carafe": Case(
        "carafe",
        "carafe",
        "carafe k5 s2",
        "128 x 512 x 512",
        ("ours", "eager", "compile", "onnxruntime", "library"),
        channels=128,
        size=(512, 512),
        outputs=("output",),
    ),
    "segnext": Case(
        "segnext",
        "segnext",
        "SegNeXt-T + FreqFusion",
        "512 x 512, preprocessing included",
        ("ours", "eager", "compile", "onnxruntime", "library"),
        size=(512, 512),
        tolerance=1e-3,
        outputs=("logits", "labels"),
    ),
    "mask-rcnn": Case(
        "mask-rcnn",
        "mask_rcnn",
        "Mask R-CNN R50 + FreqFusion",
        "800 x 1216, preprocessing and masks included",
        ("ours", "eager", "library"),
        size=(800, 1216),
        # Share of the detections that have no counterpart: which of two like ones stays is decided by the last bits.
        tolerance=0.05,
        outputs=("boxes", "scores", "labels", "areas"),
    ),
}

LABELS = {
    "ours": "freqfusion",
    "eager": "PyTorch eager",
    "compile": "torch.compile",
    "onnxruntime": "ONNX Runtime",
    "library": "PyTorch eager, freqfusion's operators",
    "floor": "its convolutions alone, channels-last",
}

# ONNX Runtime keeps more than 20 GB for these.
ONNX_NEEDS_GB = {"A": 32, "B": 32, "carafe": 32}


def fusion_options(case):
    """The options of a FreqFusion as freqfusion names them; none where the case has another kind."""
    if case.kind != "freqfusion":
        return None
    return {
        "hrChannels": case.channels,
        "lrChannels": case.channels,
        "compressedChannels": 64,
        "featureResample": case.resample,
    }
