"""freqfusion::group_norm against torch.nn.functional.group_norm in float64.

Usage: python test_group_norm.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
from operator_checks import GPU_KERNELS, TOLERANCES, given_outputs, layouts, registration, row_planar, run

torch.ops.load_library(sys.argv[1])
group_norm = torch.ops.freqfusion.group_norm.out


def compare(tally, shape, groups, dtype, offset=0.0):
    x = (torch.randn(shape, dtype=torch.float64) + offset).to(dtype)
    weight, bias = torch.rand(shape[1]) + 0.5, torch.rand(shape[1]) - 0.5
    want = torch.nn.functional.group_norm(x.double(), groups, weight.double(), bias.double())
    accumulator = torch.float64 if dtype == torch.float64 else torch.float32
    rtol, atol = TOLERANCES[accumulator]
    for layout, given in (*layouts(x), ("row-planar", row_planar(x))):
        for output_layout, out in given_outputs(shape, accumulator):
            group_norm(given, groups, weight, bias, out=out)
            # Weights are float32 whatever the map is, and a mean far from 0 costs digits.
            what = f"{list(shape)} g{groups} {dtype} {layout} into {output_layout}"
            tally.close(out, want, rtol, atol * (1 + abs(offset)), what)
        if GPU_KERNELS and dtype != accumulator:
            for output_layout, out in given_outputs(shape, dtype):
                group_norm(given, groups, weight, bias, out=out)
                what = f"{list(shape)} g{groups} {dtype} {layout} into its own dtype, {output_layout}"
                tally.close(out, want, *TOLERANCES[dtype], what)


def sweep(tally):
    torch.manual_seed(1)
    for dtype in TOLERANCES:
        for shape, groups in (((2, 16, 5, 33), 2), ((1, 64, 9, 20), 8), ((3, 6, 1, 7), 3), ((1, 8, 40, 1), 1)):
            compare(tally, shape, groups, dtype)
    compare(tally, (1, 8, 64, 64), 2, torch.float32, offset=100.0)
    x, weight, bias = torch.randn(2, 8, 6, 7), torch.rand(8), torch.rand(8)
    for half in (torch.float16, torch.bfloat16):
        out, want = torch.empty_like(x), torch.nn.functional.group_norm(x, 2, weight.to(half).float(), bias)
        group_norm(x, 2, weight.to(half), bias, out=out)
        tally.close(out, want, 1e-4, 2e-5, f"weights in {half}")


def registrations(tally):
    x, weight, bias = torch.randn(2, 8, 5, 6), torch.rand(8), torch.rand(8)
    registration(tally, group_norm, (x, 2, weight, bias), {"out": torch.empty_like(x)})
    leaf = x.clone().requires_grad_()
    result = group_norm(leaf, 2, weight, bias, out=torch.empty_like(x))
    tally.raises(lambda: result.sum().backward(), "not implemented", "gradient")
    tally.group("registration")


def errors(tally):
    x, weight, bias = torch.randn(2, 8, 5, 6), torch.rand(8), torch.rand(8)
    out = torch.empty_like(x)
    tally.raises(lambda: group_norm(x, 3, weight, bias, out=out), "divisor of the 8 channels of x for groups", "groups")
    tally.raises(lambda: group_norm(x, 2, weight[1:], bias, out=out), r"expected shape \[8\] for weight", "weight")
    tally.raises(lambda: group_norm(x, 2, weight, bias, out=out.double()), "expected Float for out, got Double", "out")
    tally.raises(lambda: group_norm(x, 2, weight, bias, out=out[1:]), "for out, got", "shape of out")
    tally.raises(lambda: group_norm(x, 2, weight, bias, out=x), "unsupported operation", "in place")
    empty = torch.empty(0, 8, 5, 6)
    tally.check(group_norm(empty, 2, weight, bias, out=torch.empty_like(empty)).shape == empty.shape, "no image")
    tally.group("argument errors and empty maps")


run(None, sweep, (registrations, errors))
