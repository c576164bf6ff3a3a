"""freqfusion::kernel_normalizer against its goldens and against softmax, window and division in PyTorch.

Usage: python test_kernel_normalizer.py LIBRARY GOLDENS [--sweep]
"""

import sys
from pathlib import Path

import numpy as np
import torch
from golden import cases
from operator_checks import TOLERANCES, layouts, memory, no_double_backward, registration, same_format
from operator_checks import run, written_outputs

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def reference(logits, kernel_size, hamming=True, groups=1):
    n, _, h, w = logits.shape
    side = np.hamming(kernel_size)
    window = torch.from_numpy(np.outer(side, side).astype(np.float32)) if hamming else torch.ones(1)
    taps = logits.reshape(n, groups, kernel_size**2, h, w).softmax(2)
    if hamming:
        taps = taps * window.to(logits.dtype).reshape(1, 1, -1, 1, 1)
    return (taps / taps.sum(2, keepdim=True)).reshape(logits.shape)


def goldens(tally):
    for case in cases(Path(sys.argv[2]) / "kernel_normalizer"):
        config = case.config
        output = operators.kernel_normalizer(
            case.inputs["mask"], config["kernel"], config["hamming_window"], config["group"]
        )
        outputs = {"normalized": output, "window": case.expected.get("window")}
        wrong = case.mismatches(outputs)
        tally.check(not wrong, f"{case.name}: {wrong}")
    tally.group("goldens")


def compare(tally, logits, kernel_size, hamming, groups, dtype, what):
    want_input = logits.to(dtype).double().requires_grad_()
    want = reference(want_input, kernel_size, hamming, groups)
    grad = torch.randn_like(want).to(dtype)
    rtol, atol = TOLERANCES[dtype]
    for layout, given in layouts(logits.to(dtype)):
        name = f"{what}, {layout}"
        got = operators.kernel_normalizer(given, kernel_size, hamming, groups)
        tally.close(got, want, rtol, atol, name)
        same_format(tally, given, got, name)
        # The gradient is a function of the output as it was stored.
        stored = got.double().reshape(got.shape[0], groups, -1, *got.shape[2:])
        g = grad.double().reshape(stored.shape)
        want_grad = (stored * (g - (g * stored).sum(2, keepdim=True))).reshape(got.shape)
        got_grad = operators.kernel_normalizer_backward(grad, got, kernel_size, groups)
        tally.close(got_grad, want_grad, rtol, atol, f"{name}, gradient")
        if dtype == torch.float64:
            (by_autograd,) = torch.autograd.grad(want, want_input, grad, retain_graph=True)
            tally.close(got_grad, by_autograd, 1e-9, 1e-11, f"{name}, gradient by autograd")


def sweep(tally):
    torch.manual_seed(1)
    for dtype in TOLERANCES:
        for kernel_size, groups in ((1, 1), (3, 1), (3, 2), (5, 1), (5, 4), (7, 2), (31, 1)):
            for height, width in ((1, 1), (5, 7), (3, 300)) if kernel_size < 31 else ((2, 19),):
                logits = torch.randn(2, groups * kernel_size**2, height, width, dtype=torch.float64) * 3
                for hamming in (True, False):
                    what = f"{dtype} k{kernel_size} g{groups} {height}x{width} hamming {hamming}"
                    compare(tally, logits, kernel_size, hamming, groups, dtype, what)
    for scale in (60, 1e4, 1e30):
        logits = (torch.rand(1, 25, 9, 33) * 2 - 1) * scale
        got = operators.kernel_normalizer(logits, 5)
        tally.close(got, reference(logits, 5), 1e-5, 1e-7, f"logits of +-{scale}")
        tally.close(got.sum(1), torch.ones(1, 9, 33), 1e-5, 0, f"logits of +-{scale}, sum of the taps")
    tiny = torch.zeros(1, 9, 1, 5)
    tiny[0, 4] = torch.tensor([80.0, 87.0, 95.0, 103.0, 110.0])
    want = tiny.double().softmax(1)
    tally.close(operators.kernel_normalizer(tiny, 3, False), want, 1e-6, 2e-45, "subnormal taps")
    for bad in (float("nan"), float("inf")):
        logits = torch.zeros(1, 9, 2, 40)
        for tap in range(9):
            logits[0, tap, 0, tap] = bad
        got = operators.kernel_normalizer(logits, 3)
        tally.check(bool(got[0, :, 0, :9].isnan().all()), f"{bad} among the logits of a pixel gives NaN")
        tally.check(bool(got[0, :, 1].isfinite().all()), f"{bad} stays in its pixel")
    dead = torch.zeros(1, 9, 1, 3)
    dead[0, 2:] = -float("inf")
    tally.close(operators.kernel_normalizer(dead, 3, False), dead.softmax(1), 1e-6, 0, "-inf switches taps off")


def gradients(tally):
    torch.manual_seed(2)
    for kernel_size, groups, hamming in ((3, 1, True), (3, 2, False), (5, 1, True)):
        logits = torch.randn(1, groups * kernel_size**2, 2, 3, dtype=torch.float64, requires_grad=True)
        good = torch.autograd.gradcheck(
            lambda x: operators.kernel_normalizer(x, kernel_size, hamming, groups), (logits,), raise_exception=False
        )
        tally.check(good, f"gradcheck k{kernel_size} g{groups} hamming {hamming}")
    logits = torch.randn(1, 9, 2, 3, dtype=torch.float64, requires_grad=True)
    no_double_backward(tally, operators.kernel_normalizer(logits, 3), (logits,), "double backward")
    tally.group("gradients")


def registrations(tally):
    for requires_grad in (False, True):
        logits = torch.randn(1, 50, 4, 5, requires_grad=requires_grad)
        registration(tally, operators.kernel_normalizer.default, (logits, 5, True, 2))
    output = torch.rand(1, 9, 4, 5)
    registration(tally, operators.kernel_normalizer_backward.default, (torch.randn(1, 9, 4, 5), output, 3, 1))
    tally.group("registration")


def errors(tally):
    logits = torch.randn(1, 50, 4, 5)
    call = operators.kernel_normalizer
    tally.raises(lambda: call(logits, 4), "expected an odd number.*for kernel_size, got 4", "even kernel")
    tally.raises(lambda: call(logits, 5), "expected groups .*for logits, got 50", "channels")
    tally.raises(lambda: call(logits, 5, True, 0), "expected at least 1 for groups, got 0", "groups")
    tally.raises(lambda: call(logits[0], 5), "expected 4 dimensions.*for logits, got 3", "dimensions")
    tally.raises(lambda: call(logits.int(), 5), "expected float32.*for logits, got Int", "dtype")
    backward = operators.kernel_normalizer_backward
    tally.raises(lambda: backward(logits.double(), logits, 5, 2), "for grad_output, got Double", "mixed dtypes")
    tally.raises(lambda: backward(logits[..., :3], logits, 5, 2), "for grad_output, got \\[1, 50, 4, 3\\]", "shapes")
    for shape in ((0, 25, 4, 5), (1, 25, 0, 5), (1, 25, 4, 0)):
        empty = torch.empty(shape)
        tally.check(call(empty, 5).shape == empty.shape, f"{shape} is empty")
        tally.check(backward(empty, empty, 5, 1).shape == empty.shape, f"{shape} is empty, backward")
    tally.group("argument errors and empty maps")


def peak(tally):
    for layout, logits in layouts(torch.randn(1, 25, 600, 600)):
        output = torch.rand_like(logits)
        memory(tally, lambda: operators.kernel_normalizer(logits, 5), (logits,), layout)
        call = lambda: operators.kernel_normalizer_backward(logits, output, 5, 1)
        memory(tally, call, (logits, output), f"{layout}, backward")
    tally.group("peak memory")


def outputs(tally):
    torch.manual_seed(3)
    inputs = (torch.randn(2, 18, 5, 37),)
    written_outputs(tally, operators.kernel_normalizer, inputs, (3, True, 2), in_place=True)


run(goldens, sweep, (gradients, registrations, errors, outputs, peak))
