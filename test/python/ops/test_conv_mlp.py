"""freqfusion::conv_mlp against its three convolutions in PyTorch.

Usage: python test_conv_mlp.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
import torch.nn.functional as F
from operator_checks import GPU_KERNELS, layouts, registration, run
from panels import MAP_DTYPES, pack_matrix, pack_vector, same_on_one_thread

torch.ops.load_library(sys.argv[1])
operator = torch.ops.freqfusion.conv_mlp


def weights_of(channels, hidden, dtype=torch.float32):
    shapes = (hidden, channels, 1, 1), (hidden, 1, 3, 3), (channels, hidden, 1, 1)
    weights = [torch.randn(*shape, dtype=dtype) / shape[1:].numel() ** 0.5 for shape in map(torch.Size, shapes)]
    return weights, [torch.randn(len(weight), dtype=dtype) for weight in weights]


def packed(weights, biases):
    return [part for weight, bias in zip(weights, biases) for part in (pack_matrix(weight), pack_vector(bias))]


def reference(x, weights, biases):
    hidden = F.conv2d(x, weights[0], biases[0])
    hidden = F.gelu(F.conv2d(hidden, weights[1], biases[1], padding=1, groups=hidden.shape[1]))
    return x + F.conv2d(hidden, weights[2], biases[2])


def sweep(tally):
    torch.manual_seed(1)
    for dtype, (rtol, atol) in MAP_DTYPES.items():
        for n, channels, hidden, h, w in (
            (1, 1, 1, 1, 1),
            (2, 5, 20, 3, 7),
            (1, 24, 192, 13, 17),
            (3, 40, 160, 9, 5),
            (1, 17, 33, 1, 40),
            (1, 18, 70, 40, 1),
            (1, 8, 1024, 5, 150),
        ):
            x = torch.randn(n, channels, h, w, dtype=dtype)
            weights, biases = weights_of(channels, hidden, dtype)
            want = reference(x.double(), [w.double() for w in weights], [b.double() for b in biases])
            for layout, given in layouts(x):
                what = f"{dtype} {(n, channels, hidden, h, w)}, {layout}"
                tally.close(operator(given, *packed(weights, biases), hidden), want, rtol, atol, what)
    x, parts = torch.randn(2, 16, 45, 37), packed(*weights_of(16, 64))
    tally.check(same_on_one_thread(lambda: operator(x, *parts, 64)), "the same on one thread")


def registrations(tally):
    registration(tally, operator.default, (torch.randn(1, 5, 3, 4), *packed(*weights_of(5, 20)), 20))
    tally.group("registration")


def errors(tally):
    x, parts = torch.randn(1, 5, 3, 4), packed(*weights_of(5, 20))
    names = ("fc1", "fc1_bias", "depthwise", "depthwise_bias", "fc2", "fc2_bias")
    for i, name in enumerate(names):
        wrong = [part[..., :-1] if j == i else part for j, part in enumerate(parts)]
        tally.raises(lambda: operator(x, *wrong, 20), f"expected shape .* for {name}, got", name)
    half = "for fc1, got Float" if GPU_KERNELS else "expected float32 or float64 for x, got Half"
    tally.raises(lambda: operator(x.half(), *parts, 20), half, "dtype")
    tally.raises(lambda: operator(x.double(), *parts, 20), "for fc1, got Float", "mixed dtypes")
    tally.raises(lambda: operator(x, *parts, 0), "for hidden, got 0", "hidden")
    tally.check(operator(x[:0], *parts, 20).shape == (0, 5, 3, 4), "no images")
    tally.check(operator(x[..., :0], *parts, 20).shape == (1, 5, 3, 0), "no columns")
    tally.group("argument errors and empty maps")


run(None, sweep, (registrations, errors))
