"""freqfusion::offset_sampler against its goldens and against pixel_shuffle and grid_sample in PyTorch.

Usage: python test_offset_sampler.py LIBRARY GOLDENS [--sweep]
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


def reference(x, offset, groups):
    n, _, h, w = offset.shape
    columns, rows = torch.arange(w, dtype=x.dtype) + 0.5, torch.arange(h, dtype=x.dtype) + 0.5
    centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy")).reshape(1, 2, 1, h, w)
    size = torch.tensor([w, h], dtype=x.dtype).reshape(1, 2, 1, 1, 1)
    grid = 2 * (centres + offset.reshape(n, 2, -1, h, w)) / size - 1
    grid = F.pixel_shuffle(grid.reshape(n, -1, h, w), 2).reshape(n, 2, -1, 2 * h, 2 * w)
    grid = grid.permute(0, 2, 3, 4, 1).reshape(n * groups, 2 * h, 2 * w, 2)
    maps = x.reshape(n * groups, -1, 2 * h, 2 * w)
    sampled = F.grid_sample(maps, grid, mode="bilinear", align_corners=False, padding_mode="border")
    return sampled.reshape(x.shape)


def initial_position(groups, height, width):
    """The offsets at which every pixel reads itself: +-0.25 low-resolution pixels."""
    quarter = torch.tensor([-0.25, 0.25])
    columns = quarter.reshape(1, 1, 1, 2).expand(1, groups, 2, 2)
    rows = quarter.reshape(1, 1, 2, 1).expand(1, groups, 2, 2)
    return torch.stack((columns, rows), 1).reshape(1, 8 * groups, 1, 1).expand(1, 8 * groups, height, width)


def safe_offsets(n, groups, height, width, scale, dtype):
    """Random offsets whose positions keep 0.1 pixel from the grid lines, where the derivative jumps."""
    positions = 2 * torch.randn(n, 8 * groups, height, width, dtype=torch.float64) * scale
    steps, fractions = positions.floor(), positions - positions.floor()
    return ((steps + 0.1 + 0.8 * fractions + 0.5) / 2).to(dtype)


def goldens(tally):
    for case in cases(Path(sys.argv[2]) / "offset_sampler"):
        if not case.name.startswith("sample_only"):
            continue  # the whole generator is a module, not this operator
        for layout, x in layouts(case.inputs["x"]):
            for offset_layout, offset in layouts(case.inputs["offset"]):
                output = operators.offset_sampler(x, offset, case.config["groups"])
                wrong = case.mismatches({"output": output})
                tally.check(not wrong, f"{case.name}, {layout}, offsets {offset_layout}: {wrong}")
    tally.group("goldens")


def compare(tally, x, offset, groups, what):
    dtype = x.dtype
    want_x, want_offset = x.double().requires_grad_(), offset.double().requires_grad_()
    want = reference(want_x, want_offset, groups)
    grad = torch.randn_like(want).to(dtype)
    want_grad_x, want_grad_offset = torch.autograd.grad(want, (want_x, want_offset), grad.double())
    rtol, atol = TOLERANCES[dtype]
    # Positions carry a float's rounding, and neighbours differ by some units.
    atol = {torch.float64: 1e-11, torch.float32: 2e-4}.get(dtype, atol)
    for (layout, given), (_, given_offset), (_, given_grad) in zip(layouts(x), layouts(offset), layouts(grad)):
        name = f"{what}, {layout}"
        got = operators.offset_sampler(given, given_offset, groups)
        tally.close(got, want, rtol, atol, name)
        same_format(tally, given, got, name)
        grad_x, grad_offset = operators.offset_sampler_backward(given_grad, given, given_offset, groups)
        tally.close(grad_x, want_grad_x, rtol, atol * want_grad_x.abs().max().item(), f"{name}, gradient of x")
        scale = want_grad_offset.abs().max().item()
        tally.close(grad_offset, want_grad_offset, rtol, atol * scale, f"{name}, gradient of the offsets")
        same_format(tally, given, grad_x, f"{name}, gradient of x")
        same_format(tally, given_offset, grad_offset, f"{name}, gradient of the offsets")


def sweep(tally):
    torch.manual_seed(1)
    for dtype in TOLERANCES:
        for groups, channels in ((1, 1), (2, 3), (4, 5), (2, 17), (1, 40)):
            for height, width in ((1, 1), (3, 7), (6, 21)):
                for scale in (0.3, 4):
                    x = torch.randn(2, groups * channels, 2 * height, 2 * width, dtype=torch.float64).to(dtype)
                    offset = safe_offsets(2, groups, height, width, scale, dtype)
                    what = f"{dtype} g{groups} c{channels} {height}x{width} offsets {scale}"
                    compare(tally, x, offset, groups, what)
        # Several runs a row.
        x = torch.randn(1, 6, 4, 540, dtype=torch.float64).to(dtype)
        compare(tally, x, safe_offsets(1, 2, 2, 270, 0.4, dtype), 2, f"{dtype} wide")
        identity(tally, dtype)
    wild_offsets(tally)
    bands(tally)
    large_steps(tally)


def identity(tally, dtype):
    for channels in (8, 40):
        for layout, x in layouts(torch.randn(1, channels, 12, 22).to(dtype)):
            output = operators.offset_sampler(x, initial_position(4, 6, 11).to(dtype), 4)
            tally.check(torch.equal(output, x), f"{dtype}, {layout}, {channels} channels: the identity is exact")


def wild_offsets(tally):
    """Offsets that are not numbers, infinite or huge read the border, and their gradient is 0."""
    x = torch.randn(1, 16, 8, 10)
    for value, column in ((float("nan"), 0), (-float("inf"), 0), (-1e30, 0), (float("inf"), -1), (1e30, -1)):
        offset = torch.full((1, 32, 4, 5), value)
        for layout, given in layouts(x):
            output = operators.offset_sampler(given, offset, 4)
            want = x[:, :, column, column, None, None].expand_as(x)
            tally.check(torch.equal(output, want), f"offset {value}, {layout}")
            grad_x, grad_offset = operators.offset_sampler_backward(torch.ones_like(x), given, offset, 4)
            tally.check(bool((grad_offset == 0).all()), f"offset {value}, {layout}: gradient of the offsets")
            tally.close(grad_x[:, :, column, column], torch.full((1, 16), 80.0), 0, 0, f"offset {value}, {layout}")


def bands(tally):
    """The gradient of x is summed band by band: offsets across bands, and the same bits for every thread count (CPU)."""
    x, offset = torch.randn(1, 6, 400, 64), safe_offsets(1, 2, 200, 32, 30, torch.float32)
    compare(tally, x, offset, 2, "tall")
    if "cuda_on_cpu" in sys.argv[1]:
        return  # the CUDA kernel adds with atomics, in no fixed order
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(operators.offset_sampler_backward(x, x, offset, 2))
    torch.set_num_threads(threads)
    same = all(torch.equal(a, b) for result in results[1:] for a, b in zip(results[0], result))
    tally.check(same, "gradients do not depend on the threads")


def large_steps(tally):
    x = distant_planes(2, 6, 8).copy_(torch.randn(1, 2, 6, 8))
    offset = safe_offsets(1, 1, 3, 4, 1, torch.bfloat16)
    want = operators.offset_sampler(x.contiguous(), offset, 1)
    tally.check(torch.equal(operators.offset_sampler(x, offset, 1), want), "planes beyond 2^31 elements")
    streamed(tally)


def streamed(tally):
    """Outputs above 24 MB are written past the caches: the same values as in a small call on some of the channels."""
    torch.manual_seed(4)
    some = [16 * group + channel for group in range(4) for channel in range(3)]
    offset = torch.randn(1, 32, 200, 200) * 0.7
    x = torch.randn(1, 64, 400, 400)
    want = operators.offset_sampler(x[:, some], offset, 4)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        got = operators.offset_sampler(x.contiguous(memory_format=memory_format), offset, 4)
        tally.close(got[:, some], want, 1e-5, 1e-6, f"streamed, {memory_format}")


def gradients(tally):
    torch.manual_seed(2)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        for groups, channels, scale in ((1, 3, 0.5), (2, 5, 1), (2, 8, 3)):
            x = torch.randn(1, groups * channels, 6, 8, dtype=torch.float64).contiguous(memory_format=memory_format)
            offset = safe_offsets(1, groups, 3, 4, scale, torch.float64)
            good = torch.autograd.gradcheck(
                lambda x, offset: operators.offset_sampler(x, offset, groups),
                (x.requires_grad_(), offset.requires_grad_()),
                raise_exception=False,
            )
            tally.check(good, f"gradcheck g{groups} c{channels} {memory_format}")
    # The border itself counts as clamped, as in grid_sample.
    x = torch.randn(1, 4, 6, 8)
    offset = initial_position(1, 3, 4).contiguous().requires_grad_()
    (got,) = torch.autograd.grad(operators.offset_sampler(x, offset, 1).sum(), offset)
    edge = got.reshape(2, 2, 2, 3, 4)
    tally.check(bool((edge[0, :, 0, :, 0] == 0).all() and (edge[0, :, 1, :, -1] == 0).all()), "left and right border")
    tally.check(bool((edge[1, 0, :, 0] == 0).all() and (edge[1, 1, :, -1] == 0).all()), "upper and lower border")
    x, offset = torch.randn(1, 4, 6, 8, requires_grad=True), torch.randn(1, 8, 3, 4, requires_grad=True)
    no_double_backward(tally, operators.offset_sampler(x, offset, 1), (x, offset), "double backward")
    tally.group("gradients")


def registrations(tally):
    for requires_grad in (False, True):
        x = torch.randn(1, 6, 4, 8, requires_grad=requires_grad)
        offset = torch.randn(1, 16, 2, 4, requires_grad=requires_grad)
        registration(tally, operators.offset_sampler.default, (x, offset, 2))
    arguments = (torch.randn(1, 6, 4, 8), torch.randn(1, 6, 4, 8), torch.randn(1, 16, 2, 4), 2)
    registration(tally, operators.offset_sampler_backward.default, arguments)
    tally.group("registration")


def errors(tally):
    x, offset = torch.randn(1, 6, 4, 8), torch.randn(1, 16, 2, 4)
    call, backward = operators.offset_sampler, operators.offset_sampler_backward
    tally.raises(lambda: call(x, offset, 4), "expected a multiple of groups.*for x, got 6", "channels")
    tally.raises(lambda: call(x, offset, 0), "expected 1..*for groups, got 0", "groups")
    tally.raises(lambda: call(x, offset, 3), "for offset, got \\[1, 16, 2, 4\\]", "offset channels")
    tally.raises(lambda: call(x[..., :7], offset, 2), "expected an even height and width for x", "odd width")
    tally.raises(lambda: call(x, offset.double(), 2), "for offset, got Double", "mixed dtypes")
    tally.raises(lambda: call(x[0], offset, 2), "expected 4 dimensions.*for x, got 3", "dimensions")
    tally.raises(lambda: call(x.int(), offset.int(), 2), "expected float32.*for x, got Int", "dtype")
    tally.raises(lambda: backward(x[:, :3], x, offset, 2), "for grad_output, got \\[1, 3, 4, 8\\]", "shapes")
    for shape in ((0, 6, 4, 8), (1, 6, 0, 8), (1, 6, 4, 0), (1, 0, 4, 8)):
        empty, offsets = torch.empty(shape), torch.randn(shape[0], 16, shape[2] // 2, shape[3] // 2)
        tally.check(call(empty, offsets, 2).shape == shape, f"{shape} is empty")
        grad_x, grad_offset = backward(empty, empty, offsets, 2)
        good = grad_x.shape == shape and grad_offset.shape == offsets.shape and bool((grad_offset == 0).all())
        tally.check(good, f"{shape} is empty, backward")
    tally.group("argument errors and empty maps")


def peak(tally):
    offset = torch.randn(1, 32, 200, 200) * 0.3
    for layout, x in layouts(torch.randn(1, 64, 400, 400)):
        grad = torch.randn(1, 64, 400, 400)
        memory(tally, lambda: operators.offset_sampler(x, offset, 4), (x, offset), layout)
        call = lambda: operators.offset_sampler_backward(grad, x, offset, 4)
        memory(tally, call, (x, offset, grad), f"{layout}, backward")
    tally.group("peak memory")


def outputs(tally):
    torch.manual_seed(3)
    inputs = (torch.randn(2, 12, 8, 38), torch.randn(2, 16, 4, 19))
    written_outputs(tally, operators.offset_sampler, inputs, (2,))


run(goldens, sweep, (gradients, registrations, errors, outputs, peak))
