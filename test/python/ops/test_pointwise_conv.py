"""freqfusion::pointwise_conv against a 1x1 convolution and what follows it in PyTorch.

Usage: python test_pointwise_conv.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
import torch.nn.functional as F
from operator_checks import GPU_KERNELS, layouts, registration, run
from panels import MAP_DTYPES, pack_matrix, pack_vector, same_on_one_thread

torch.ops.load_library(sys.argv[1])
operator = torch.ops.freqfusion.pointwise_conv
ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


def sweep(tally):
    torch.manual_seed(1)
    for dtype, (rtol, atol) in MAP_DTYPES.items():
        for size in ((1, 1, 1), (2, 5, 7), (1, 31, 33)):
            for channels, outputs in ((1, 1), (3, 16), (16, 33), (40, 80), (70, 150)):
                n, h, w = size
                x = torch.randn(n, channels, h, w, dtype=dtype)
                weight = torch.randn(outputs, channels, 1, 1, dtype=dtype) / channels**0.5
                bias, scale = torch.randn(2, outputs, dtype=dtype)
                factor, residual = torch.randn(2, n, outputs, h, w, dtype=dtype)
                packed = pack_matrix(weight), pack_vector(bias)
                conv = F.conv2d(x.double(), weight.double(), bias.double())
                for name, activation in ACTIVATIONS.items():
                    want = activation(conv) * factor.double() + residual.double() * scale.double().view(1, -1, 1, 1)
                    for (layout, given), (_, other) in zip(layouts(x), layouts(residual)):
                        got = operator(given, *packed, outputs, name, factor, other, pack_vector(scale))
                        tally.close(got, want, rtol, atol, f"{dtype} {size} {channels}->{outputs} {name}, {layout}")
                        tally.check(got.is_contiguous(memory_format=torch.channels_last), "channels-last output")
                want = F.conv2d(x.double(), weight.double())
                tally.close(operator(x, packed[0], None, outputs), want, rtol, atol, "no bias")
                got = operator(x, *packed, outputs, residual=residual)
                tally.close(got, conv + residual, rtol, atol, "residual without a scale")
    far = torch.tensor([0.0, -0.0, 1e-30, 5.0, -5.0, 7.0, -7.0, 1e30, -1e30, float("nan")])
    got = operator(far.view(1, 1, 1, -1), pack_matrix(torch.ones(1, 1)), None, 1, "gelu").flatten()
    tally.check(torch.allclose(got, F.gelu(far), 1e-6, 2e-6, equal_nan=True), f"gelu of extreme values: {got}")
    lowest = operator(far.view(1, 1, 1, -1), pack_matrix(torch.ones(1, 1)), None, 1, "relu").flatten()
    tally.check(torch.allclose(lowest, F.relu(far), 0, 0, equal_nan=True), f"relu of extreme values: {lowest}")
    x, weight = torch.randn(1, 24, 61, 67), pack_matrix(torch.randn(40, 24))
    tally.check(same_on_one_thread(lambda: operator(x, weight, None, 40)), "the same on one thread")


def registrations(tally):
    x, weight, bias = torch.randn(1, 5, 3, 4), torch.randn(2, 5, 16), torch.randn(32)
    maps = torch.randn(1, 20, 3, 4)
    registration(tally, operator.default, (x, weight, bias, 20, "gelu", maps, maps, bias))
    registration(tally, operator.default, (x, weight, None, 20))
    tally.group("registration")


def errors(tally):
    x, weight, bias = torch.randn(1, 5, 3, 4), torch.randn(2, 5, 16), torch.randn(32)
    tally.raises(lambda: operator(x[0], weight, bias, 20), "expected 4 dimensions.*for x, got 3", "dimensions")
    half = "for weight, got Float" if GPU_KERNELS else "expected float32 or float64 for x, got Half"
    tally.raises(lambda: operator(x.half(), weight, bias, 20), half, "dtype")
    tally.raises(lambda: operator(x.int(), weight, bias, 20), "for x, got Int", "integers")
    tally.raises(lambda: operator(x, weight.double(), bias, 20), "for weight, got Double", "mixed dtypes")
    tally.raises(lambda: operator(x, weight, bias, 40), r"expected shape \[3, 5, 16\] for weight", "panels")
    tally.raises(lambda: operator(x, weight, bias[:20], 20), r"expected shape \[32\] for bias", "bias")
    tally.raises(lambda: operator(x, weight, bias, 20, "tanh"), "none, relu or gelu for activation, got tanh", "activation")
    tally.raises(lambda: operator(x, weight, bias, 20, "none", x), r"expected shape .* for factor", "factor")
    tally.raises(lambda: operator(x, weight, bias, 20, residual_scale=bias), "expected a residual", "scale alone")
    tally.raises(lambda: operator(x, weight, bias, 0), "for out_channels, got 0", "outputs")
    tally.check(operator(x[:0], weight, bias, 20).shape == (0, 20, 3, 4), "no images")
    tally.check(operator(x[:, :, :0], weight, bias, 20).shape == (1, 20, 0, 4), "no rows")
    tally.group("argument errors and empty maps")


run(None, sweep, (registrations, errors))
