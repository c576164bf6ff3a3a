"""freqfusion::sampling_offset against pixel_unshuffle and sigmoid in float64.

Usage: python test_sampling_offset.py LIBRARY GOLDENS [--sweep]
"""

import sys

import torch
from operator_checks import TOLERANCES, layouts, registration, row_planar, run

torch.ops.load_library(sys.argv[1])
sampling_offset = torch.ops.freqfusion.sampling_offset


def maps(n, directions, h, w, scaled, dtype=torch.float64):
    parts = 2 if scaled else 1
    hr = (torch.rand((n, parts * directions, 2 * h, 2 * w), dtype=torch.float64) * 8 - 4).to(dtype)
    lr = (torch.rand((n, parts * directions * 4, h, w), dtype=torch.float64) * 8 - 4).to(dtype)
    return hr, lr, (torch.rand((1, directions * 4, 1, 1), dtype=torch.float64) - 0.5).to(dtype)


def reference(hr, lr, start, scaled):
    both = torch.pixel_unshuffle(hr.double(), 2) + lr.double()
    if not scaled:
        return both / 4 + start.double()
    direction, scale = both.chunk(2, 1)
    return direction * torch.sigmoid(scale) + start.double()


def compare(tally, size, directions, scaled, dtype):
    hr, lr, start = maps(size[0], directions, *size[1:], scaled, dtype)
    want = reference(hr, lr, start, scaled)
    for layout, given in (*layouts(hr), ("row-planar", row_planar(hr))):
        for lr_layout, given_lr in (*layouts(lr), ("row-planar", row_planar(lr))):
            got = sampling_offset(given, given_lr, start, scaled)
            what = f"{size} {directions} {scaled} {dtype}, {layout}, lr {lr_layout}"
            tally.close(got, want, *TOLERANCES[dtype], what)
            tally.check(got.is_contiguous(), f"{what}: contiguous")


def sweep(tally):
    torch.manual_seed(1)
    for dtype in (torch.float32, torch.float64):
        for size, directions in (((2, 3, 5), 2), ((1, 9, 33), 8), ((1, 4, 16), 16), ((1, 1, 1), 2)):
            for scaled in (True, False):
                compare(tally, size, directions, scaled, dtype)
    # Far out the sigmoid is 0 and 1, and nothing overflows.
    hr, lr, start = maps(1, 2, 2, 4, True, torch.float32)
    for far in (-200.0, 200.0):
        lr[:, 8:] = far
        tally.close(sampling_offset(hr, lr, start), reference(hr, lr, start, True), 1e-4, 2e-5, f"scale {far}")


def gradients(tally):
    torch.manual_seed(2)
    for scaled in (True, False):
        hr, lr, start = maps(1, 2, 2, 3, scaled)
        call = lambda a, b: sampling_offset(a, b, start, scaled)  # noqa: E731, B023
        inputs = (hr.requires_grad_(), lr.requires_grad_())
        tally.check(torch.autograd.gradcheck(call, inputs, raise_exception=False), f"gradcheck {scaled}")
    tally.group("gradients")


def registrations(tally):
    registration(tally, sampling_offset.default, (*maps(1, 2, 3, 4, True, torch.float32), True))
    tally.group("registration")


def errors(tally):
    hr, lr, start = maps(1, 2, 3, 4, True, torch.float32)
    tally.raises(lambda: sampling_offset(hr[0], lr, start), "expected 4 dimensions .* for hr, got 3", "dimensions")
    tally.raises(lambda: sampling_offset(hr, lr, start, False), "for lr, got", "channels")
    tally.raises(lambda: sampling_offset(hr[..., 1:], lr, start), "for hr, got", "size")
    tally.raises(lambda: sampling_offset(hr.half(), lr.half(), start), "float32 or float64 for lr, got Half", "dtype")
    tally.raises(lambda: sampling_offset(hr, lr, start[:, 1:]), "multiple of 4 channels for init_pos, got 7", "start")
    tally.check(sampling_offset(hr[:0], lr[:0], start).shape == (0, 8, 3, 4), "no image")
    tally.group("argument errors and empty maps")


run(None, sweep, (gradients, registrations, errors))
