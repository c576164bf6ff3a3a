"""freqfusion::nmf against its updates written out in PyTorch.

Usage: python test_nmf.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
from operator_checks import registration, run
from panels import DTYPES, same_on_one_thread

torch.ops.load_library(sys.argv[1])
operator = torch.ops.freqfusion.nmf


def inputs_of(images, pixels, dim, rank, dtype=torch.float32):
    bases = torch.nn.functional.normalize(torch.rand(images, dim, rank, dtype=dtype), dim=1)
    return torch.rand(images, pixels, dim, dtype=dtype), bases


def reference(x, bases, steps):
    def update(factor, numerator, other):
        return factor * numerator / (factor @ (other.transpose(1, 2) @ other) + 1e-6)

    coefficients = (x @ bases).softmax(-1)
    for _ in range(steps):
        coefficients = update(coefficients, x @ bases, bases)
        bases = update(bases, x.transpose(1, 2) @ coefficients, coefficients)
    coefficients = update(coefficients, x @ bases, bases)
    return coefficients @ bases.transpose(1, 2)


def sweep(tally):
    torch.manual_seed(1)
    for dtype, (rtol, atol) in DTYPES.items():
        for images, pixels, dim, rank, steps in (
            (1, 1, 1, 1, 0),
            (1, 7, 3, 2, 1),
            (2, 77, 40, 5, 3),
            (3, 300, 33, 20, 2),
            (1, 5000, 24, 17, 7),
        ):
            x, bases = inputs_of(images, pixels, dim, rank, dtype)
            kept = bases.clone()
            want = reference(x.double(), bases.double(), steps)
            what = f"{dtype} {(images, pixels, dim, rank, steps)}"
            tally.close(operator(x, bases, steps), want, rtol, atol, what)
            got = operator(x.transpose(1, 2).contiguous().transpose(1, 2), bases, steps)
            tally.close(got, want, rtol, atol, f"{what}, transposed memory")
            tally.check(torch.equal(bases, kept), f"{what}: the bases are as before")
    x, bases = inputs_of(1, 3000, 24, 16)
    tally.check(same_on_one_thread(lambda: operator(x, bases, 7)), "the same on one thread")
    zeros = operator(torch.zeros(1, 20, 8), inputs_of(1, 1, 8, 4)[1], 3)
    tally.check(bool((zeros == 0).all()), "nothing but zeros stays zero")


def registrations(tally):
    registration(tally, operator.default, (*inputs_of(1, 9, 4, 3), 2))
    tally.group("registration")


def errors(tally):
    x, bases = inputs_of(2, 9, 4, 3)
    tally.raises(lambda: operator(x[0], bases, 2), "expected 3 dimensions.*for x, got 2", "dimensions of x")
    tally.raises(lambda: operator(x, bases[0], 2), "expected 3 dimensions.*for bases, got 2", "dimensions of bases")
    tally.raises(lambda: operator(x, bases[:1], 2), r"expected shape \[2, 4, 3\] for bases", "batch")
    tally.raises(lambda: operator(x.half(), bases, 2), "expected float32 or float64 for x, got Half", "dtype")
    tally.raises(lambda: operator(x, bases.double(), 2), "for bases, got Double", "mixed dtypes")
    tally.raises(lambda: operator(x, bases, -1), "for steps, got -1", "steps")
    tally.check(operator(x[:, :0], bases, 2).shape == (2, 0, 4), "no pixels")
    tally.group("argument errors and empty inputs")


run(None, sweep, (registrations, errors))
