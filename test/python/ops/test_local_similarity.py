"""freqfusion::local_similarity against its goldens and against unfold and cosine_similarity in PyTorch.

Usage: python test_local_similarity.py LIBRARY GOLDENS [--sweep]
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from golden import cases
from operator_checks import TOLERANCES, distant_planes, layouts, memory, no_double_backward, registration
from operator_checks import run, same_format, written_outputs

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def reference(x, kernel_size, dilation, similarity):
    n, c, h, w = x.shape
    taps, centre = kernel_size**2, kernel_size**2 // 2
    window = F.unfold(x, kernel_size, dilation=dilation, padding=kernel_size // 2 * dilation).reshape(n, c, taps, h, w)
    window = torch.cat([window[:, :, :centre], window[:, :, centre + 1 :]], 2)
    if similarity == "cosine":
        return F.cosine_similarity(x[:, :, None], window, dim=1, eps=1e-8)
    return (x[:, :, None] * window).sum(1)


def goldens(tally):
    for case in cases(Path(sys.argv[2]) / "local_sim"):
        similarity = {"cos": "cosine", "dot": "dot"}[case.config["sim"]]
        for layout, x in layouts(case.inputs["x"]):
            output = operators.local_similarity(x, case.config["k"], case.config["dilation"], similarity)
            wrong = case.mismatches({"similarity": output})
            tally.check(not wrong, f"{case.name}, {layout}: {wrong}")
    tally.group("goldens")


def compare(tally, x, kernel_size, dilation, similarity, dtype, what):
    x = x.to(dtype)
    want_input = x.double().requires_grad_()
    want = reference(want_input, kernel_size, dilation, similarity)
    grad = torch.randn_like(want).to(dtype)
    (want_grad,) = torch.autograd.grad(want, want_input, grad.double())
    rtol, atol = TOLERANCES[dtype]
    for layout, given in layouts(x):
        name = f"{what}, {layout}"
        got = operators.local_similarity(given, kernel_size, dilation, similarity)
        tally.close(got, want, rtol, atol * want.abs().max().item(), name)
        same_format(tally, given, got, name)
        got_grad = operators.local_similarity_backward(grad, given, kernel_size, dilation, similarity)
        same_format(tally, given, got_grad, f"{name}, gradient")
        tally.close(got_grad, want_grad, rtol, atol * want_grad.abs().max().item(), f"{name}, gradient")


def sweep(tally):
    torch.manual_seed(1)
    for dtype in TOLERANCES:
        for kernel_size, dilation in ((3, 1), (3, 2), (3, 5), (5, 1), (5, 2), (7, 3), (9, 1)):
            for shape in ((2, 9, 7, 11), (1, 3, 2, 1), (1, 21, 11, 37)):
                x = torch.randn(shape, dtype=torch.float64)
                for similarity in ("cosine", "dot"):
                    what = f"{dtype} k{kernel_size} d{dilation} {shape} {similarity}"
                    compare(tally, x, kernel_size, dilation, similarity, dtype, what)
        # Several tiles each way.
        compare(tally, torch.randn(1, 10, 13, 530, dtype=torch.float64), 3, 2, "cosine", dtype, f"{dtype} wide")
    far = torch.randn(1, 9, 5, 6)
    for layout, x in layouts(far):
        output = operators.local_similarity(x, 3, 2**31, "cosine")
        tally.check(bool((output == 0).all()), f"{layout}: a dilation beyond the map gives 0")
    tally.check(operators.local_similarity(far, 1, 1).shape == (1, 0, 5, 6), "kernel 1 has no taps")
    magnitudes(tally)
    large_steps(tally)


def magnitudes(tally):
    """Vectors of very different length, and zero vectors, which have the similarity 0 and finite gradients."""
    x = torch.randn(1, 12, 9, 20)
    x[:, :, ::3] *= 1e-3
    x[:, :, :, 1::4] *= 1e4
    x[:, :, 4, ::2] = 0
    for layout, given in layouts(x):
        got = operators.local_similarity(given, 3, 2, "cosine")
        tally.close(got, reference(x.double(), 3, 2, "cosine"), 1e-5, 1e-6, f"{layout}, magnitudes")
        tally.check(bool((got[:, :, 4, ::2] == 0).all()), f"{layout}, zero vectors")
        grad = operators.local_similarity_backward(torch.randn_like(got), given, 3, 2, "cosine")
        tally.check(bool(grad.isfinite().all()), f"{layout}, gradient at zero vectors")


def large_steps(tally):
    x = distant_planes(2, 6, 8).copy_(torch.randn(1, 2, 6, 8))
    want = operators.local_similarity(x.contiguous(), 3, 1)
    tally.check(torch.equal(operators.local_similarity(x, 3, 1), want), "planes beyond 2^31 elements")


def gradients(tally):
    torch.manual_seed(2)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        for kernel_size, dilation, similarity in ((3, 1, "cosine"), (3, 2, "cosine"), (5, 1, "cosine"), (3, 2, "dot")):
            x = torch.randn(1, 9, 4, 5, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
            good = torch.autograd.gradcheck(
                lambda x: operators.local_similarity(x, kernel_size, dilation, similarity), (x,), raise_exception=False
            )
            tally.check(good, f"gradcheck k{kernel_size} d{dilation} {similarity} {memory_format}")
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    no_double_backward(tally, operators.local_similarity(x, 3, 1), (x,), "double backward")
    tally.group("gradients")


def registrations(tally):
    for requires_grad in (False, True):
        x = torch.randn(1, 6, 4, 5, requires_grad=requires_grad)
        registration(tally, operators.local_similarity.default, (x, 3, 2, "cosine"))
    x = torch.randn(1, 9, 4, 5).contiguous(memory_format=torch.channels_last)
    registration(tally, operators.local_similarity.default, (x, 5, 1, "dot"))
    arguments = (torch.randn(1, 8, 4, 5), torch.randn(1, 6, 4, 5), 3, 2, "cosine")
    registration(tally, operators.local_similarity_backward.default, arguments)
    tally.group("registration")


def errors(tally):
    x = torch.randn(1, 6, 4, 5)
    call, backward = operators.local_similarity, operators.local_similarity_backward
    tally.raises(lambda: call(x, 4), "expected an odd number.*for kernel_size, got 4", "even kernel")
    tally.raises(lambda: call(x, 3, 0), "expected 1..*for dilation, got 0", "dilation")
    tally.raises(lambda: call(x, 3, 1, "cos"), "expected cosine or dot for similarity, got cos", "similarity")
    tally.raises(lambda: call(x[0]), "expected 4 dimensions.*for x, got 3", "dimensions")
    tally.raises(lambda: call(x.long()), "expected float32.*for x, got Long", "dtype")
    grad = torch.randn(1, 8, 4, 5)
    tally.raises(lambda: backward(grad.half(), x, 3, 2, "dot"), "for grad_output, got Half", "mixed dtypes")
    tally.raises(lambda: backward(grad, x, 5, 2, "dot"), "for grad_output, got \\[1, 8, 4, 5\\]", "shapes")
    for shape in ((0, 6, 4, 5), (1, 6, 0, 5), (1, 6, 4, 0)):
        output = call(torch.empty(shape))
        tally.check(output.shape == (shape[0], 8, *shape[2:]), f"{shape} is empty")
        grad_x = backward(output, torch.empty(shape), 3, 2, "cosine")
        tally.check(grad_x.shape == shape, f"{shape} is empty, backward")
    tally.check(bool((call(torch.empty(1, 0, 4, 5)) == 0).all()), "no channels: every similarity is 0")
    tally.group("argument errors and empty maps")


def peak(tally):
    for layout, x in layouts(torch.randn(1, 32, 400, 400)):
        grad = torch.randn(1, 8, 400, 400)
        memory(tally, lambda: operators.local_similarity(x, 3, 2), (x,), layout)
        call = lambda: operators.local_similarity_backward(grad, x, 3, 2, "cosine")
        memory(tally, call, (x, grad), f"{layout}, backward")
    tally.group("peak memory")


def outputs(tally):
    torch.manual_seed(3)
    written_outputs(tally, operators.local_similarity, (torch.randn(2, 9, 11, 37),), (3, 2, "cosine"))


run(goldens, sweep, (gradients, registrations, errors, outputs, peak))
