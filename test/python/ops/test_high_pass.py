"""freqfusion::high_pass against 2x - carafe(x) and x - carafe(x).

Usage: python test_high_pass.py LIBRARY GOLDENS [--sweep]
"""

import random
import sys

import torch
from operator_checks import TOLERANCES, layouts, memory, registration, row_planar, run, same_format, written_outputs

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def reference(x, masks, kernel_size, groups, border, residual):
    """In float64; carafe itself is compared with a slow loop in test_carafe.py."""
    low = operators.carafe(x.double(), masks.double(), kernel_size, groups, 1, border)
    return (2 if residual else 1) * x.double() - low


def maps(shape, kernel_size, groups, dtype=torch.float32):
    n, _, h, w = shape
    x = torch.rand(shape, dtype=torch.float64) * 2 - 1
    masks = torch.rand((n, groups * kernel_size**2, h, w), dtype=torch.float64) * 2 - 1
    return x.to(dtype), masks.to(dtype)


def compare(tally, shape, kernel_size, groups, border, residual, dtype):
    x, masks = maps(shape, kernel_size, groups, dtype)
    want = reference(x, masks, kernel_size, groups, border, residual)
    rtol, atol = TOLERANCES[dtype]
    for layout, given in layouts(x):
        for mask_layout, given_masks in (("contiguous", masks), ("channels-last", masks.contiguous(memory_format=torch.channels_last))):  # fmt: skip
            got = operators.high_pass(given, given_masks, kernel_size, groups, border, residual)
            what = f"{list(shape)} k{kernel_size} g{groups} {border} {residual} {dtype}, {layout}, masks {mask_layout}"
            tally.close(got, want, rtol, atol, what)
            same_format(tally, given, got, what)


def sweep(tally):
    torch.manual_seed(1)
    pick = random.Random(3)
    for dtype in TOLERANCES:
        for kernel_size, groups in ((1, 1), (3, 1), (3, 2), (3, 4), (5, 1), (5, 3), (7, 1)):
            for height, width in ((4, 4), (5, 33), (6, 70), (9, 17)):
                channels = groups * pick.randint(1, 19)
                compare(tally, (2, channels, height, width), kernel_size, groups, pick.choice(("zeros", "reflect")),
                        pick.random() < 0.5, dtype)  # fmt: skip
    for shape, kernel_size in (((1, 5, 1, 1), 3), ((1, 3, 1, 50), 5), ((1, 3, 50, 1), 5), ((1, 2, 17, 20), 31)):
        compare(tally, shape, kernel_size, 1, "zeros", True, torch.float32)
    # Rows of a module's own maps, and an output above the size from which on it is written past the caches.
    for shape in ((1, 64, 40, 152), (1, 70, 300, 304)):
        x, masks = maps(shape, 3, 1)
        want = reference(x, masks, 3, 1, "zeros", True)
        out = row_planar(torch.zeros(shape))
        operators.high_pass(row_planar(x), row_planar(masks), 3, out=out)
        tally.close(out, want, 1e-4, 2e-5, f"{list(shape)}, row-planar")
        for memory_format in (torch.contiguous_format, torch.channels_last):
            got = operators.high_pass(x.contiguous(memory_format=memory_format), masks, 3)
            tally.close(got, want, 1e-4, 2e-5, f"{list(shape)}, {memory_format}")
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x, masks = (value.contiguous(memory_format=memory_format) for value in maps((1, 96, 320, 320), 3, 1))
        got = operators.high_pass(x, masks, 3)
        rows = slice(200, 203)
        want = reference(x[:, :, 199:204], masks[:, :, 199:204], 3, 1, "zeros", True)[:, :, 1:4]
        tally.close(got[:, :, rows], want, 1e-4, 2e-5, f"streamed, {memory_format}")


def gradients(tally):
    torch.manual_seed(2)
    for groups, border, residual in ((1, "zeros", True), (2, "reflect", False)):
        inputs = tuple(value.requires_grad_() for value in maps((1, 4, 3, 4), 3, groups, torch.float64))
        call = lambda x, m: operators.high_pass(x, m, 3, groups, border, residual)  # noqa: E731, B023
        what = f"{groups} {border} {residual}"
        tally.check(torch.autograd.gradcheck(call, inputs, raise_exception=False), f"gradcheck {what}")
        tally.check(torch.autograd.gradgradcheck(call, inputs, raise_exception=False), f"gradgradcheck {what}")
    tally.group("gradients")


def registrations(tally):
    x, masks = maps((2, 4, 5, 6), 3, 2)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        given = x.contiguous(memory_format=memory_format).requires_grad_()
        registration(tally, operators.high_pass.default, (given, masks, 3, 2, "reflect", False))
    tally.group("registration")


def errors(tally):
    x, masks = maps((1, 4, 4, 4), 3, 1)
    call = operators.high_pass
    tally.raises(lambda: call(x[0], masks, 3), r"expected 4 dimensions .* for x, got 3", "dimensions")
    tally.raises(lambda: call(x, masks, 5), r"expected shape \[1, 25, 4, 4\] for masks, got", "masks")
    tally.raises(lambda: call(x, masks, 3, 3), r"expected a divisor of the 4 channels of x for groups, got 3", "groups")
    tally.raises(lambda: call(x, masks.double(), 3), r"expected the dtype of x \(Float\) for masks, got Double", "dtype")
    tally.raises(lambda: call(x, masks, 3, 1, "edge"), r'for border, got "edge"', "border")
    tally.raises(lambda: call(x.int(), masks.int(), 3), "expected float32.*for x, got Int", "dtype")
    for shape in ((0, 6, 4, 5), (1, 0, 4, 5), (1, 6, 0, 5), (1, 6, 4, 0)):
        empty_masks = torch.empty(shape[0], 9, shape[2], shape[3])
        tally.check(call(torch.empty(shape), empty_masks, 3).shape == shape, f"{shape} is empty")
    tally.group("argument errors and empty maps")


def outputs(tally):
    torch.manual_seed(3)
    written_outputs(tally, operators.high_pass, maps((2, 6, 5, 37), 3, 2), (3, 2, "zeros", True))


def peak(tally):
    for layout, x in layouts(torch.randn(1, 64, 300, 300)):
        masks = torch.randn(1, 9, 300, 300)
        memory(tally, lambda: operators.high_pass(x, masks, 3), (x, masks), layout)
    tally.group("peak memory")


run(None, sweep, (gradients, registrations, errors, outputs, peak))
