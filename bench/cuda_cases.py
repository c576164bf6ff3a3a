"""What is compared on a GPU, in the order of its weight: a run that is cut short has the first. Imports no torch."""

from dataclasses import dataclass

FLOAT32, ALL = ("float32",), ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class CudaCase:
    name: str
    kind: str  # freqfusion, carafe or segnext
    title: str
    shape: str  # in words
    dtypes: tuple
    contenders: tuple
    channels: int = 0
    size: tuple = ()  # height and width of the larger map, or of the image
    resample: bool = False
    kernel_size: int = 0
    scale: int = 1


FUSION = ("ours", "graph", "eager", "four", "best", "compile", "library")
OPERATOR = ("ours", "eager", "four", "best", "compile", "library")


def fusion(name, channels, size, resample, dtypes=("float32", "float16")):
    shape = f"{channels} x {size[0]} x {size[1]}" + (", offset generator" if resample else "")
    return CudaCase(name, "freqfusion", f"FreqFusion {name}", shape, dtypes, FUSION, channels, size, resample)


def carafe(name, kernel_size, scale, channels, side, dtypes=ALL):
    title, shape = f"carafe k{kernel_size} s{scale}", f"{channels} x {side} x {side} -> {scale * side} x {scale * side}"
    size = (scale * side, scale * side)
    return CudaCase(
        name, "carafe", title, shape, dtypes, OPERATOR, channels, size, kernel_size=kernel_size, scale=scale
    )


LISTED = (
    fusion("256", 256, (256, 256), True),
    CudaCase(
        "segnext",
        "segnext",
        "SegNeXt-T + FreqFusion, network",
        "512 x 512",
        ("float16",),
        FUSION,
        size=(512, 512),
    ),
    carafe("carafe-128", 5, 2, 256, 128),
    carafe("carafe-256", 5, 2, 256, 256),
    carafe("carafe-k3", 3, 1, 256, 256),
    fusion("C", 256, (200, 304), True),
    fusion("B", 128, (512, 512), True),
    fusion("A", 128, (512, 512), False),
    fusion("D", 64, (128, 128), True),
)
CUDA_CASES = {each.name: each for each in LISTED}

# For tests: every kind at sizes that a CPU takes in its stride.
SMALL_CASES = {
    "256": fusion("256", 16, (16, 24), True),
    "carafe-128": carafe("carafe-128", 5, 2, 6, 7, ("float32", "bfloat16")),
    "carafe-k3": carafe("carafe-k3", 3, 1, 5, 6, FLOAT32),
    "segnext": CudaCase(
        "segnext", "segnext", "SegNeXt-T + FreqFusion, network", "64 x 64", FLOAT32, FUSION, size=(64, 64)
    ),
}

CUDA_LABELS = {
    "ours": "freqfusion",
    "graph": "freqfusion, CUDA graph",
    "eager": "PyTorch eager, unfold",
    "four": "PyTorch eager, four-launch CARAFE",
    "best": "PyTorch eager, best of its own operators",
    "compile": "torch.compile, unfold",
    "library": "PyTorch eager, freqfusion's operators",
}

# Greatest ||result - expected|| / ||expected|| of an output that passes. Expected is what float32 gives for the same
# inputs and weights, rounded to the dtype: this finds wrong results; how precise ours are, the golden cases say.
TOLERANCES = {"float32": 1e-3, "float16": 3e-2, "bfloat16": 1.5e-1}
