"""PyTorch's sides of the comparison on a GPU: inputs, the network of a case by each contender, and timing by events."""

import statistics
import time
from pathlib import Path

import torch

from reference import four_launches, library, torch_best, unfold
from reference.freqfusion import FreqFusion
from reference.segnext import SegNeXt
from reference.tensor_file import load_file, save_file

FLUSH_BYTES = 256 << 20  # as `freqfusion bench`: twice the largest last-level cache
COPY_BYTES = 1 << 30
INPUTS = {"carafe": ("features", "masks"), "segnext": ("image", "nmfBases"), "freqfusion": ("hrFeat", "lrFeat")}
OUTPUTS = {"carafe": ("output",), "segnext": ("logits",), "freqfusion": ("maskLr", "hrFeat", "lrFeat")}
OPERATORS = {"eager": unfold, "compile": unfold, "four": four_launches, "library": library}


class Carafe(torch.nn.Module):
    def __init__(self, case, operators):
        super().__init__()
        self.case, self.operators = case, operators

    def forward(self, features, masks):
        return (self.operators.carafe(features, masks, self.case.kernel_size, self.case.scale),)


class SegNeXtNetwork(SegNeXt):
    """From the normalised image to the logits: what lies around is not the GPU's work alone."""

    def forward(self, image, bases):
        return (self.decode_head(self.backbone(image), bases),)


def network_of(case, operators):
    if case.kind == "carafe":
        return Carafe(case, operators).eval()
    if case.kind == "segnext":
        return SegNeXtNetwork(operators=operators).eval()
    return FreqFusion(case.channels, case.channels, feature_resample=case.resample, operators=operators).eval()


def make_inputs(case, dtype, file):
    """Writes inputs and weights in the case's dtype: every contender begins with the same rounded values."""
    torch.manual_seed(0)
    height, width = case.size
    if case.kind == "segnext":
        tensors = {
            "image": torch.randn(1, 3, height, width),
            "nmfBases": torch.nn.functional.normalize(torch.rand(1, 256, 16), dim=1),
        }
    elif case.kind == "carafe":
        low = (height // case.scale, width // case.scale)
        tensors = {
            "features": torch.randn(1, case.channels, *low),
            "masks": torch.randn(1, case.kernel_size**2, height, width).softmax(1),
        }
    else:
        tensors = {
            "hrFeat": torch.randn(1, case.channels, height, width),
            "lrFeat": torch.randn(1, case.channels, height // 2, width // 2),
        }
    weights = network_of(case, unfold).state_dict()
    tensors |= {f"weights.{name}": value for name, value in weights.items()}
    save_file({n: v.to(dtype) if v.is_floating_point() else v for n, v in tensors.items()}, file)


def load_network(case, operators, file, dtype, device, channels_last=False):
    """The network with the file's weights, and the inputs."""
    stored = load_file(file)
    network = network_of(case, operators)
    prefix = "weights."
    network.load_state_dict({n[len(prefix) :]: v for n, v in stored.items() if n.startswith(prefix)})
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(device=device, dtype=dtype, memory_format=memory_format)
    inputs = [stored[name].to(device=device, dtype=dtype) for name in INPUTS[case.kind]]
    return network, [x.contiguous(memory_format=memory_format) if x.dim() == 4 else x for x in inputs]


class Timer:
    """Times runs on a device: between two CUDA events, the L2 cache flushed before each run; on the CPU by the clock."""

    def __init__(self, device):
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        size = FLUSH_BYTES if self.on_gpu else 1
        self.scratch = torch.empty(size, dtype=torch.uint8, device=self.device)

    def milliseconds(self, call, runs, warmup):
        for _ in range(warmup):
            call()
        times = []
        for _ in range(runs):
            # While it writes, the CPU launches what is timed: that waits for its launches only where they take longer.
            self.scratch.zero_()
            if not self.on_gpu:
                since = time.perf_counter()
                call()
                times.append(1000 * (time.perf_counter() - since))
                continue
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            times.append((start, end))
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
            times = [start.elapsed_time(end) for start, end in times]
        return times

    def extra_bytes(self, call):
        """Greatest memory in tensors during a run, outputs included, beside inputs and weights. 0 on the CPU."""
        if not self.on_gpu:
            call()
            return 0
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        call()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - before

    def copy_bandwidth(self):
        """GB/s of copies within the device's memory, bytes read and written."""
        size = COPY_BYTES
        if self.on_gpu:
            size = min(size, torch.cuda.mem_get_info(self.device)[0] // 8)
        else:
            size = 1 << 22
        source = torch.ones(size, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        return [2 * size / ms / 1e6 for ms in self.milliseconds(lambda: target.copy_(source), 5, 2)]


def best_of(case, file, dtype, device, timer):
    """The fastest of what PyTorch's own operators can be put together to: (network, inputs, its name)."""
    found, errors = [], []
    for operators in (torch_best.Shifted(), torch_best.Windows()):
        for channels_last in (False, True):
            name = f"{type(operators).__name__.lower()}, {'channels-last' if channels_last else 'channels-first'}"
            try:
                network, inputs = load_network(case, operators, file, dtype, device, channels_last)
                ms = statistics.median(timer.milliseconds(lambda: network(*inputs), 5, 3))  # noqa: B023
                found.append((ms, len(found), network, inputs, name))
            except Exception as error:  # out of memory, or an operator that this dtype does not have
                errors.append(f"{name}: {error}")
    if not found:
        raise RuntimeError("; ".join(errors))
    return min(found)[2:]


def runner_of(case, contender, file, dtype, device, timer, operators_file):
    """What runs the case once by a contender and returns its outputs by name, and a note about it."""
    if contender in ("four", "library"):
        if not Path(operators_file).exists():
            raise FileNotFoundError(f"expected freqfusion's operators at {operators_file}, got no such file")
        library.load(operators_file)
    if contender == "best":
        network, inputs, note = best_of(case, file, dtype, device, timer)
    else:
        network, inputs = load_network(case, OPERATORS[contender], file, dtype, device)
        note = None
    if contender == "compile":
        torch._dynamo.reset()
        network = torch.compile(network, dynamic=False)
    names = OUTPUTS[case.kind]
    return (lambda: dict(zip(names, network(*inputs)))), note


def expected_outputs(case, file, device):
    """What float32 gives for the stored values, by shifted maps: they fit where unfolded windows do not."""
    network, inputs = load_network(case, torch_best.Shifted(), file, torch.float32, device)
    return dict(zip(OUTPUTS[case.kind], network(*inputs)))


def greatest_difference(actual, expected):
    """Greatest ||a - e|| / ||e|| over the outputs; NaN where any is."""
    shares = []
    for name, wanted in expected.items():
        got = actual[name].to(device=wanted.device, dtype=torch.float32)
        if got.shape != wanted.shape:
            raise ValueError(f"expected {name} to be {list(wanted.shape)}, got {list(got.shape)}")
        shares.append(float(torch.linalg.vector_norm(got - wanted) / torch.linalg.vector_norm(wanted)))
    return max(shares, key=lambda each: (each != each, each))
