"""freqfusion::winograd_conv against PyTorch's convolution in float64, and what follows it.

Usage: python test_winograd_conv.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
import torch.nn.functional as F
from operator_checks import layouts, memory, registration, run
from panels import same_on_one_thread

torch.ops.load_library(sys.argv[1])
operator = torch.ops.freqfusion.winograd_conv
pack = torch.ops.freqfusion.winograd_weight


def drawn(n, channels, outputs, h, w):
    x = torch.randn(n, channels, h, w)
    weight = torch.randn(outputs, channels, 3, 3) / (9 * channels) ** 0.5
    return x, weight, torch.randn(outputs), torch.randn(n, outputs, h, w)


def exact(x, weight, bias=None):
    return F.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), padding=1)


def sweep(tally):
    torch.manual_seed(1)
    # Sides below, at and above whole tiles of four, down to one pixel; channels that fill no vector and no panel.
    for size in ((1, 1, 1), (2, 3, 5), (1, 4, 8), (3, 9, 6), (1, 31, 34)):
        for channels, outputs in ((1, 1), (5, 16), (16, 33), (70, 40), (150, 96)):
            n, h, w = size
            x, weight, bias, residual = drawn(n, channels, outputs, h, w)
            packed, what = pack(weight), f"{size} {channels}->{outputs}"
            want = exact(x, weight, bias) + residual
            for (layout, given), (_, other) in zip(layouts(x), layouts(residual)):
                got = operator(given, packed, bias, outputs, "relu", other)
                tally.close(got, want.relu().float(), 1e-5, 1e-5, f"{what} relu, {layout}")
                tally.check(got.is_contiguous(memory_format=torch.channels_last), "channels-last output")
                got = operator(given, packed, bias, outputs, residual=other)
                tally.close(got, want.float(), 1e-5, 1e-5, f"{what}, {layout}")
            tally.close(operator(x, packed, None, outputs), exact(x, weight).float(), 1e-5, 1e-5, f"{what} no bias")
    x, weight, bias, _ = drawn(1, 24, 40, 61, 67)
    packed = pack(weight)
    tally.check(same_on_one_thread(lambda: operator(x, packed, bias, 40)), "the same on one thread")


def direct_sum(x, weight):
    """One term after the other: PyTorch's own convolution sums as suits the processor, with an error of its own."""
    columns, rows = F.unfold(x, 3, padding=1)[0], weight.flatten(1)
    total = torch.zeros(len(rows), columns.shape[1])
    for k, column in enumerate(columns):
        total += rows[:, k, None] * column
    return total.view(1, len(rows), *x.shape[2:])


def accuracy(tally):
    """As exact as a direct sum: the reason for its points and for the spans of its sums."""
    torch.manual_seed(2)
    x, weight, _, _ = drawn(1, 256, 256, 64, 64)
    want = exact(x, weight)
    error = (operator(x, pack(weight), None, 256) - want).abs()
    direct = (direct_sum(x, weight) - want).abs()
    tally.check(error.max() < 1e-5, f"greatest error {error.max()} of results up to {want.abs().max()}")
    tally.check(error.mean() < 1.2 * direct.mean(), f"mean error {error.mean()}, of a direct sum {direct.mean()}")
    tally.group("accuracy")


def values(tally):
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    x = torch.randn(1, 1, 12, 12)
    x[0, 0, 2, 2] = float("nan")
    got = operator(x, pack(weight), None, 1, "relu")
    tally.check(bool(got[0, 0, 2, 2].isnan()), "NaN stays through a ReLU")
    tally.check(not bool(got[0, 0, 8:].isnan().any()), "and reaches no further than its tiles")
    weight = torch.randn(3, 2, 3, 3)
    tally.close(pack(weight.double()), pack(weight), 0, 0, "weights of another dtype")
    tally.check(pack(weight).shape == (36, 1, 2, 16), "weights in panels")
    tally.check(bool((pack(weight)[..., 3:] == 0).all()), "zeros where a panel is not full")
    tally.group("values and weights")


def memory_use(tally):
    x = torch.randn(1, 64, 200, 300).contiguous(memory_format=torch.channels_last)
    packed = pack(torch.randn(64, 64, 3, 3))
    memory(tally, lambda: operator(x, packed, None, 64), (x, packed), "64 channels of 200 x 300")
    tally.group("memory")


def registrations(tally):
    x, weight, bias, residual = drawn(1, 5, 20, 6, 7)
    registration(tally, operator.default, (x, pack(weight), bias, 20, "relu", residual))
    registration(tally, operator.default, (x, pack(weight), None, 20))
    tally.group("registration")


def errors(tally):
    x, weight, bias, residual = drawn(1, 5, 20, 6, 7)
    packed = pack(weight)
    tally.raises(lambda: operator(x[0], packed, bias, 20), "expected 4 dimensions.*for x, got 3", "dimensions")
    tally.raises(lambda: operator(x.double(), packed, bias, 20), "expected float32 for x, got Double", "dtype")
    tally.raises(lambda: operator(x, packed.double(), bias, 20), "for weight, got Double", "mixed dtypes")
    tally.raises(lambda: operator(x, packed, bias, 40), r"expected shape \[36, 3, 5, 16\] for weight", "panels")
    tally.raises(lambda: operator(x, packed, bias[:5], 20), r"expected shape \[20\] for bias", "bias")
    tally.raises(lambda: operator(x, packed, bias, 20, "gelu"), "none or relu for activation, got gelu", "activation")
    tally.raises(lambda: operator(x, packed, bias, 20, "none", x), r"expected shape .* for residual", "residual")
    tally.raises(lambda: operator(x, packed, bias, 0), "for out_channels, got 0", "outputs")
    tally.raises(lambda: pack(weight[:, :, :2]), r"expected shape \[out, in, 3, 3\] for weight", "kernel")
    tally.raises(lambda: operator(x[:, :0], packed[:, :, :0], bias, 20), "expected channels for x, got", "no channels")
    tally.check(operator(x[:0], packed, bias, 20).shape == (0, 20, 6, 7), "no images")
    tally.check(operator(x[:, :, :0], packed, bias, 20).shape == (1, 20, 0, 7), "no rows")
    tally.group("argument errors and empty maps")


run(None, sweep, (accuracy, values, memory_use, registrations, errors))
