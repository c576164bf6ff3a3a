"""freqfusion::row_conv against torch.nn.functional.conv2d in float64.

Usage: python test_row_conv.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
from operator_checks import GPU_KERNELS, TOLERANCES, layouts, memory, registration, row_planar, run

torch.ops.load_library(sys.argv[1])
row_conv = torch.ops.freqfusion.row_conv


def maps(shape, outputs, kernel_size, dtype=torch.float32):
    n, c, h, w = shape
    x = torch.rand(shape, dtype=torch.float64) * 2 - 1
    weight = (torch.rand((outputs, c, kernel_size, kernel_size), dtype=torch.float64) * 2 - 1) / (c**0.5 * kernel_size)
    bias = torch.rand(outputs, dtype=torch.float64) * 2 - 1
    return x.to(dtype), weight.to(dtype), bias.to(dtype)


def reference(x, weight, bias, dilation):
    padding = weight.shape[2] // 2 * dilation
    bias = None if bias is None else bias.double()
    return torch.nn.functional.conv2d(x.double(), weight.double(), bias, 1, padding, dilation)


def compare(tally, shape, outputs, kernel_size, dilation, dtype):
    x, weight, bias = maps(shape, outputs, kernel_size, dtype)
    accumulator = torch.float64 if dtype == torch.float64 else torch.float32
    # Half precision is widened on the way in and never narrowed: the results are as exact as float32's.
    rtol, atol = TOLERANCES[accumulator]
    for given_bias in (bias, None):
        want = reference(x, weight, given_bias, dilation)
        for layout, given in (*layouts(x), ("row-planar", row_planar(x))):
            what = f"{list(shape)} -> {outputs}, k{kernel_size} d{dilation} {dtype}, {layout}"
            got = row_conv(given, weight, given_bias, dilation)
            tally.check(got.dtype == accumulator, f"{what}: dtype {got.dtype}")
            tally.close(got, want, rtol, atol, what)
            rows = got.is_contiguous() if GPU_KERNELS else got.stride(1) <= got.stride(2) and got.stride(3) == 1
            tally.check(rows, f"{what}: layout of the result")


def sweep(tally):
    torch.manual_seed(1)
    for dtype in TOLERANCES:
        for shape, outputs, kernel_size, dilation in (
            ((2, 5, 4, 4), 1, 1, 1),
            ((1, 17, 6, 70), 9, 3, 1),
            ((1, 6, 9, 33), 25, 3, 2),
            ((1, 20, 5, 48), 64, 1, 1),
            ((1, 3, 8, 49), 26, 5, 1),
            ((1, 2, 40, 17), 13, 7, 3),
            ((1, 1, 1, 1), 4, 3, 1),
        ):
            compare(tally, shape, outputs, kernel_size, dilation, dtype)
    # Weights may have another dtype than the map, as a module's own half-precision ones do.
    x, weight, bias = maps((1, 8, 6, 20), 9, 3)
    got = row_conv(x, weight.bfloat16(), bias.bfloat16())
    tally.close(got, reference(x, weight.bfloat16(), bias.bfloat16(), 1), 1e-4, 2e-5, "bfloat16 weights")


def gradients(tally):
    torch.manual_seed(2)
    for dilation in (1, 2):
        inputs = tuple(value.requires_grad_() for value in maps((1, 2, 4, 5), 3, 3, torch.float64))
        call = lambda x, w, b: row_conv(x, w, b, dilation)  # noqa: E731, B023
        tally.check(torch.autograd.gradcheck(call, inputs, raise_exception=False), f"gradcheck, dilation {dilation}")
        without = lambda x, w: row_conv(x, w, None, dilation)  # noqa: E731, B023
        tally.check(torch.autograd.gradcheck(without, inputs[:2], raise_exception=False), "gradcheck without bias")
    tally.group("gradients")


def registrations(tally):
    for dtype in (torch.float32, torch.bfloat16):
        x, weight, bias = maps((2, 4, 5, 36), 9, 3, dtype)
        registration(tally, row_conv.default, (x.requires_grad_(), weight, bias, 1), strides_of_kernel=True)
    tally.group("registration")


def errors(tally):
    x, weight, bias = maps((1, 4, 6, 6), 9, 3)
    tally.raises(lambda: row_conv(x[0], weight), r"expected 4 dimensions .* for x, got 3", "dimensions")
    tally.raises(lambda: row_conv(x, weight[:, 1:]), r"channels of x \(4\) for the second size of weight, got 3", "weight")
    tally.raises(lambda: row_conv(x, weight[..., :2]), "expected a square kernel for weight, got 3 x 2", "kernel")
    tally.raises(lambda: row_conv(x, weight[..., :2, :2]), "expected an odd number .* got 2", "even kernel")
    tally.raises(lambda: row_conv(x, weight, bias[1:]), r"expected shape \[9\] for bias, got \[8\]", "bias")
    tally.raises(lambda: row_conv(x, weight, bias, 0), "for dilation, got 0", "dilation")
    tally.raises(lambda: row_conv(x.int(), weight), "for x, got Int", "dtype")
    for shape in ((0, 4, 6, 6), (1, 4, 0, 6), (1, 4, 6, 0)):
        tally.check(row_conv(torch.empty(shape), weight).shape == (shape[0], 9, *shape[2:]), f"{shape} is empty")
    tally.group("argument errors and empty maps")


def peak(tally):
    for layout, x in layouts(torch.randn(1, 32, 300, 300)):
        _, weight, bias = maps((1, 32, 1, 1), 25, 3)
        memory(tally, lambda: row_conv(x, weight, bias), (x, weight), layout)
    tally.group("peak memory")


# On a GPU the convolution and its working memory are libtorch's.
run(None, sweep, (gradients, registrations, errors, *(() if GPU_KERNELS else (peak,))))
