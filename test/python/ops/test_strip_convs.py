"""freqfusion::strip_convs against its seven depthwise convolutions in PyTorch.

Usage: python test_strip_convs.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
import torch.nn.functional as F
from operator_checks import GPU_KERNELS, layouts, registration, run
from panels import MAP_DTYPES, pack_matrix, pack_vector, same_on_one_thread

torch.ops.load_library(sys.argv[1])
operator = torch.ops.freqfusion.strip_convs
KERNELS = (5, 5), (1, 7), (7, 1), (1, 11), (11, 1), (1, 21), (21, 1)


def weights_of(channels, dtype=torch.float32):
    weights = [torch.randn(channels, 1, *kernel, dtype=dtype) / (kernel[0] * kernel[1]) ** 0.5 for kernel in KERNELS]
    return weights, [torch.randn(channels, dtype=dtype) for _ in KERNELS]


def packed(weights, biases):
    taps = torch.cat([pack_matrix(weight) for weight in weights], 1)
    return taps, torch.stack([pack_vector(bias).view(-1, 16) for bias in biases], 1)


def reference(x, weights, biases):
    def conv(i, y):
        return F.conv2d(y, weights[i], biases[i], padding=[side // 2 for side in KERNELS[i]], groups=x.shape[1])

    a = conv(0, x)
    return a + sum(conv(i + 1, conv(i, a)) for i in (1, 3, 5))


def sweep(tally):
    torch.manual_seed(1)
    for dtype, (rtol, atol) in MAP_DTYPES.items():
        for size in ((1, 1, 1, 1), (2, 16, 3, 50), (1, 24, 13, 17), (3, 40, 41, 9), (1, 5, 70, 3), (1, 17, 26, 26)):
            x = torch.randn(size, dtype=dtype)
            weights, biases = weights_of(size[1], dtype)
            want = reference(x.double(), [w.double() for w in weights], [b.double() for b in biases])
            for layout, given in layouts(x):
                got = operator(given, *packed(weights, biases))
                tally.close(got, want, rtol, atol, f"{dtype} {size}, {layout}")
    for channels in (3, 40):  # fewer panels than threads, and more
        x, parts = torch.randn(1, channels, 75, 20), packed(*weights_of(channels))
        tally.check(same_on_one_thread(lambda: operator(x, *parts)), f"{channels} channels: the same on one thread")


def registrations(tally):
    registration(tally, operator.default, (torch.randn(1, 5, 3, 4), *packed(*weights_of(5))))
    tally.group("registration")


def errors(tally):
    x, (weight, bias) = torch.randn(1, 5, 3, 4), packed(*weights_of(5))
    tally.raises(lambda: operator(x, weight[:, 1:], bias), r"expected shape \[1, 103, 16\] for weight", "taps")
    tally.raises(lambda: operator(x, weight, bias[:, 1:]), r"expected shape \[1, 7, 16\] for bias", "biases")
    tally.raises(lambda: operator(x[0], weight, bias), "expected 4 dimensions.*for x, got 3", "dimensions")
    half = "for weight, got Float" if GPU_KERNELS else "expected float32 or float64 for x, got Half"
    tally.raises(lambda: operator(x.half(), weight, bias), half, "dtype")
    tally.raises(lambda: operator(x, weight.double(), bias), "for weight, got Double", "mixed dtypes")
    tally.check(operator(x[:0], weight, bias).shape == (0, 5, 3, 4), "no images")
    tally.check(operator(x[:, :, :0], weight, bias).shape == (1, 5, 0, 4), "no rows")
    tally.group("argument errors and empty maps")


run(None, sweep, (registrations, errors))
