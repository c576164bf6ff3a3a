"""freqfusion::kernel_predictor against the operators that define it.

Usage: python test_kernel_predictor.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
from operator_checks import TOLERANCES, registration, row_planar, run

torch.ops.load_library(sys.argv[1])
operators = torch.ops.freqfusion


def logits(n, h, w, low, high, groups, dtype=torch.float64):
    def values(kernel, scale):
        return (torch.rand((n, groups * kernel**2, scale * h, scale * w), dtype=torch.float64) * 6 - 3).to(dtype)

    return values(low, 2), values(low, 1), values(high, 2), values(high, 1)


def reference(maps, low_kernel, high_kernel, groups, hamming, border):
    """[mask_lr, mask_hr, first mask, low, high] in float64; each operator has a test of its own."""
    low_hr, low_lr, high_hr, high_lr = (value.double() for value in maps)
    first = operators.kernel_normalizer(low_hr, low_kernel, hamming, groups)
    low = low_hr + operators.carafe(low_lr, first, low_kernel, groups, 2, border)
    mask_lr = operators.kernel_normalizer(low, low_kernel, hamming, groups)
    high = high_hr + operators.carafe(high_lr, mask_lr, low_kernel, groups, 2, border)
    return [mask_lr, operators.kernel_normalizer(high, high_kernel, hamming, groups), first, low, high]


def compare(tally, size, low_kernel, high_kernel, groups, hamming, border, dtype):
    maps = logits(*size, low_kernel, high_kernel, groups, dtype)
    want = reference(maps, low_kernel, high_kernel, groups, hamming, border)
    rtol, atol = TOLERANCES[dtype]
    options = (low_kernel, high_kernel, groups, hamming, border)
    channels_last = [value.contiguous(memory_format=torch.channels_last) for value in maps]
    for layout, given in (("contiguous", maps), ("rows", [row_planar(m) for m in maps]), ("last", channels_last)):
        for format_last in (False, True):
            what = f"{size} k{low_kernel},{high_kernel} g{groups} {hamming} {border} {dtype}, {layout} {format_last}"
            got = operators.kernel_predictor(*given, *options, dtype, format_last, True)
            for index, (value, expected) in enumerate(zip(got, want, strict=True)):
                tally.close(value, expected, rtol, atol, f"{what}, result {index}")
            memory_format = torch.channels_last if format_last else torch.contiguous_format
            tally.check(got[0].is_contiguous(memory_format=memory_format), f"{what}: memory format")
    low_only = operators.kernel_predictor(maps[0], maps[1], None, None, *options, dtype)
    tally.check(len(low_only) == 1, "one result without high-pass logits")
    tally.close(low_only[0], want[0], rtol, atol, f"{size} low-pass alone")
    if dtype == torch.float32:
        for half in (torch.float16, torch.bfloat16):
            for format_last in (False, True):
                got = operators.kernel_predictor(*maps, *options, half, format_last)
                tally.check(got[1].dtype == half, f"{half} masks")
                tally.close(got[0], want[0], *TOLERANCES[half], f"{size} {half}")
                tally.close(got[1], want[1], *TOLERANCES[half], f"{size} {half}, high")


def sweep(tally):
    torch.manual_seed(1)
    for dtype in (torch.float32, torch.float64):
        for size, low_kernel, high_kernel, groups in (
            ((1, 3, 4), 5, 3, 1),
            ((2, 9, 33), 3, 5, 1),
            ((1, 17, 50), 5, 3, 1),
            ((2, 5, 16), 5, 3, 2),
            ((1, 8, 9), 7, 1, 1),
        ):
            for border, hamming in (("zeros", True), ("reflect", False)):
                if border == "reflect" and min(size[1:]) <= low_kernel // 2:
                    continue
                compare(tally, size, low_kernel, high_kernel, groups, hamming, border, dtype)


def gradients(tally):
    torch.manual_seed(2)
    inputs = tuple(value.requires_grad_() for value in logits(1, 2, 3, 3, 3, 1))
    call = lambda *maps: operators.kernel_predictor(*maps, 3, 3, 1, True, "zeros", torch.float64)  # noqa: E731
    tally.check(torch.autograd.gradcheck(call, inputs, raise_exception=False), "gradcheck")
    tally.group("gradients")


def registrations(tally):
    maps = logits(1, 4, 5, 5, 3, 1, torch.float32)
    for channels_last in (False, True):
        arguments = (*maps, 5, 3, 1, True, "reflect", torch.float32, channels_last, True)
        registration(tally, operators.kernel_predictor.default, arguments)
    tally.group("registration")


def errors(tally):
    maps = logits(1, 4, 5, 5, 3, 1, torch.float32)
    call = lambda given, *rest: operators.kernel_predictor(*given, *(rest or (5, 3, 1, True, "zeros", torch.float32)))  # noqa: E731
    tally.raises(lambda: call([m.half() for m in maps]), "expected float32 or float64 for low_hr, got Half", "dtype")
    tally.raises(lambda: call((maps[0][..., 1:], *maps[1:])), r"expected shape .* for low_hr, got", "size of hr")
    tally.raises(lambda: call((*maps[:2], maps[2], None)), "both or none of high_hr and high_lr", "half a pair")
    tally.raises(lambda: call(maps, 4, 3, 1, True, "zeros", torch.float32), "odd number", "kernel")
    tally.raises(lambda: call(maps, 5, 3, 1, True, "zeros", torch.float64), "for dtype, got Double", "dtype of masks")
    small = logits(1, 2, 2, 5, 3, 1, torch.float32)
    tally.raises(lambda: call(small, 5, 3, 1, True, "reflect", torch.float32), 'border "reflect", got 2 x 2', "border")
    tally.check(call(logits(0, 4, 5, 5, 3, 1, torch.float32))[0].shape == (0, 25, 8, 10), "no image")
    tally.group("argument errors and empty maps")


run(None, sweep, (gradients, registrations, errors))
