"""The operator carafe in PyTorch: python test_carafe.py LIBRARY GOLDENS

LIBRARY is libfreqfusion_ops.so, GOLDENS the folder of the golden families. Every instruction set of this machine is
tested in a child process of its own (--sweep). Prints one line a group and `N passed, N failed`; exits 1 on a failure.
"""

import itertools
import random
import sys
from pathlib import Path

import torch

from golden import cases, peak_memory_bytes, uniform
from operator_checks import registration, run, written_outputs

LIBRARY, GOLDENS = sys.argv[1], Path(sys.argv[2])
torch.ops.load_library(LIBRARY)
carafe = torch.ops.freqfusion.carafe
carafe_backward = torch.ops.freqfusion.carafe_backward


def slow_carafe(features, masks, k, groups, scale, border):
    """All windows gathered by their source rows and columns, then weighted and summed; differentiable."""
    n, channels, height, width = features.shape
    shifts = torch.arange(k)[:, None] - k // 2
    rows = torch.arange(height).repeat_interleave(scale) + shifts  # [k, H]
    columns = torch.arange(width).repeat_interleave(scale) + shifts  # [k, W]
    inside = ((rows >= 0) & (rows < height))[:, :, None, None] & ((columns >= 0) & (columns < width))
    if border == "reflect":
        rows = (height - 1) - ((height - 1) - rows.abs()).abs()
        columns = (width - 1) - ((width - 1) - columns.abs()).abs()
        inside = torch.ones_like(inside)
    windows = features[:, :, rows.clamp(0, height - 1)][..., columns.clamp(0, width - 1)]  # [n, c, k, H, k, W]
    weights = masks.reshape(n, groups, k, k, height * scale, width * scale).permute(0, 1, 2, 4, 3, 5)
    products = windows * weights.repeat_interleave(channels // groups, 1)
    return torch.where(inside, products, torch.zeros((), dtype=features.dtype)).sum((2, 4))


def laid_out(tensor, layout):
    """The same values in another layout."""
    if layout == "nhwc":
        return tensor.contiguous(memory_format=torch.channels_last)
    n, c, h, w = tensor.shape
    if layout == "sliced":  # neighbouring columns stay neighbours
        room = torch.full((n + 1, c + 2, h + 3, w + 5), float("nan"), dtype=tensor.dtype)
        view = room[1:, 1 : c + 1, 2 : h + 2, 3 : w + 3]
    elif layout == "sliced nhwc":
        room = torch.full((n, h + 1, w + 2, c + 3), float("nan"), dtype=tensor.dtype)
        view = room[:, 1:, 1 : w + 1, 2 : c + 2].permute(0, 3, 1, 2)
    elif layout == "every second":
        room = torch.full((n, 2 * c, 2 * h, 2 * w), float("nan"), dtype=tensor.dtype)
        view = room[:, ::2, ::2, 1::2]
    elif layout == "transposed":
        room = torch.full((n, c, w, h), float("nan"), dtype=tensor.dtype)
        view = room.transpose(2, 3)
    else:
        return tensor.contiguous()
    view.copy_(tensor)
    return view


def maps(name, n, channels, height, width, k, groups, scale, dtype):
    features = uniform(f"{name}/features", [n, channels, height, width], -1, 1)
    masks = uniform(f"{name}/masks", [n, groups * k * k, height * scale, width * scale], -1, 1)
    grad = uniform(f"{name}/grad", [n, channels, height * scale, width * scale], -1, 1)
    return [value.to(dtype) for value in (features, masks, grad)]


def compare(tally, name, shape, k, groups, scale, border, dtype=torch.float32, layouts=("nchw", "nchw", "nchw")):
    features, masks, grad = maps(name, *shape, k, groups, scale, dtype)
    wide = torch.float64
    slow_inputs = [features.to(wide).requires_grad_(), masks.to(wide).requires_grad_()]
    want = slow_carafe(*slow_inputs, k, groups, scale, border)
    want_grads = torch.autograd.grad(want, slow_inputs, grad.to(wide)) if want.numel() else slow_inputs
    features, masks, grad = (laid_out(value, layout) for value, layout in zip((features, masks, grad), layouts))
    got = carafe(features, masks, k, groups, scale, border)
    got_features, got_masks = carafe_backward(grad, features, masks, k, groups, scale, border)
    what = f"{list(shape)} k={k} groups={groups} scale={scale} {border} {dtype} {layouts}"
    # One rounding of the result for 16-bit storage: sums are float32 in every case, of k*k*scale*scale terms.
    rtol = {torch.float64: 1e-12, torch.float32: 1e-4, torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype]
    atol = {torch.float64: 1e-11, torch.float32: 2e-5, torch.float16: 1e-3, torch.bfloat16: 1e-3}[dtype] * max(1, k * scale / 10)
    tally.close(got, want, rtol, atol, what)
    tally.close(got_features, want_grads[0], rtol, atol, f"grad_features {what}")
    tally.close(got_masks, want_grads[1], rtol, atol, f"grad_masks {what}")
    channels_last = features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()
    if channels_last:
        tally.check(got.is_contiguous(memory_format=torch.channels_last), f"channels-last output {what}")
    return features, masks, grad


def test_goldens(tally):
    for case in cases(GOLDENS / "carafe"):
        config = case.config
        arguments = (config["kernel_size"], config["group"], config["up"], config["border"])
        for layouts in itertools.product(("nchw", "nhwc"), repeat=2):
            inputs = [laid_out(case.inputs[name], layout) for name, layout in zip(("features", "mask"), layouts)]
            outputs = {"output": carafe(*inputs, *arguments)}
            if "grad_output" in case.inputs:
                grads = carafe_backward(case.inputs["grad_output"], *inputs, *arguments)
                outputs["grad_features"], outputs["grad_mask"] = grads
            wrong = case.mismatches(outputs)
            tally.check(not wrong, f"{case.name} {layouts}: {wrong}")
    tally.group("golden cases")


def test_common_shapes(tally):
    for k, scale in ((5, 2), (3, 1), (5, 1), (1, 2), (7, 2)):
        for channels, height, width in ((8, 7, 36), (9, 6, 33), (25, 5, 17), (70, 4, 16)):
            for layout, border in itertools.product(("nchw", "nhwc"), ("zeros", "reflect")):
                compare(tally, "common", (1, channels, height, width), k, 1, scale, border, layouts=[layout] * 3)
    tally.group("common kernels, channels and widths")


def test_random_shapes(tally):
    pick = random.Random(7)
    layouts = ("nchw", "nhwc", "sliced", "sliced nhwc", "every second", "transposed")
    for index in range(160):
        k = pick.choice((1, 3, 3, 5, 5, 7, 9))
        scale, groups = pick.randint(1, 4), pick.choice((1, 1, 2, 3, 4))
        border = pick.choice(("zeros", "reflect"))
        least = k // 2 + 1 if border == "reflect" else 1
        shape = (pick.randint(1, 2), groups * pick.randint(1, 20), least + pick.randint(0, 7), least + pick.randint(0, 37))
        dtype = pick.choice((torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16))
        compare(tally, f"random{index}", shape, k, groups, scale, border, dtype, [pick.choice(layouts) for _ in range(3)])
    tally.group("random shapes, layouts and dtypes")


def test_large_kernels(tally):
    for k, scale, border, layout in ((31, 1, "zeros", "nchw"), (31, 2, "reflect", "nchw"), (31, 1, "reflect", "nhwc"),
                                     (15, 4, "reflect", "nchw"), (17, 3, "zeros", "nhwc"), (31, 4, "zeros", "nchw")):  # fmt: skip
        least = k // 2 + 1 if border == "reflect" else 3
        compare(tally, "large", (1, 5, least, least + 9), k, 1, scale, border, layouts=[layout] * 3)
    tally.group("large kernels")


def test_degenerate_shapes(tally):
    for layout in ("nchw", "nhwc"):
        compare(tally, "one", (1, 4, 1, 1), 5, 2, 2, "zeros", layouts=[layout] * 3)
        compare(tally, "small", (2, 6, 2, 3), 7, 3, 3, "zeros", layouts=[layout] * 3)
        compare(tally, "row", (1, 3, 1, 50), 5, 1, 4, "zeros", layouts=[layout] * 3)
        compare(tally, "column", (1, 3, 50, 1), 5, 1, 2, "zeros", layouts=[layout] * 3)
        for shape in ((0, 4, 5, 5), (1, 0, 5, 5), (2, 4, 0, 5), (2, 4, 5, 0)):
            features, masks, grad = maps("empty", *shape, 3, 1, 2, torch.float32)
            output = carafe(laid_out(features, layout), laid_out(masks, layout), 3, 1, 2)
            tally.check(list(output.shape) == [shape[0], shape[1], 2 * shape[2], 2 * shape[3]], f"empty {shape}")
            grads = carafe_backward(grad, features, masks, 3, 1, 2, "zeros")
            tally.check([g.shape for g in grads] == [features.shape, masks.shape], f"gradients of empty {shape}")
            tally.check(all(bool((g == 0).all()) for g in grads), f"zero gradients of empty {shape}")
    tally.group("degenerate shapes")


def test_special_values(tally):
    """Taps outside the map contribute nothing, whatever their mask holds; nothing leaks between windows."""
    for layout, width in itertools.product(("nchw", "nhwc"), (40, 7)):
        k, scale = 5, 2
        features, masks, grad = maps("special", 1, 5, 9, width, k, 1, scale, torch.float32)
        want = slow_carafe(features, masks, k, 1, scale, "zeros")
        want_grads = carafe_backward(grad, features, masks, k, 1, scale, "zeros")
        ones = torch.ones(1, 1, 9, width)
        outside = torch.stack([slow_carafe(ones, torch.eye(k * k)[tap].reshape(1, k * k, 1, 1).expand(1, k * k, 9 * scale, width * scale), k, 1, scale, "zeros")[0, 0] == 0 for tap in range(k * k)])  # fmt: skip
        for value in (float("nan"), float("inf")):
            spoiled = torch.where(outside[None], torch.tensor(value), masks)
            got = carafe(laid_out(features, layout), laid_out(spoiled, layout), k, 1, scale)
            tally.close(got, want, 1e-4, 2e-5, f"{value} in the masks of outside taps, {layout}")
            got_grads = carafe_backward(laid_out(grad, layout), laid_out(features, layout), laid_out(spoiled, layout), k, 1, scale, "zeros")  # fmt: skip
            tally.close(got_grads[0], want_grads[0], 1e-4, 2e-5, f"grad_features, {value} in outside taps, {layout}")
            tally.close(got_grads[1], want_grads[1], 1e-4, 2e-5, f"grad_masks, {value} in outside taps, {layout}")
        features[0, 2, 4, 3] = float("nan")
        got = carafe(laid_out(features, layout), laid_out(masks, layout), k, 1, scale)
        want = slow_carafe(features, masks, k, 1, scale, "zeros")
        tally.check(torch.equal(got.isnan(), want.isnan()), f"a NaN pixel reaches its windows alone, {layout}")
        grad[0, 1, 9, 5] = float("inf")
        got_grads = carafe_backward(laid_out(grad, layout), laid_out(features, layout), laid_out(masks, layout), k, 1, scale, "zeros")  # fmt: skip
        reached = torch.zeros(9, width, dtype=torch.bool)
        reached[2:7, 0 : min(5, width)] = True
        tally.check(torch.equal(~got_grads[0][0, 1].isfinite(), reached), f"an infinite gradient stays in its window, {layout}")
    tally.group("NaN and infinity")


def test_determinism_and_threads(tally):
    for layout in ("nchw", "nhwc"):
        features, masks, grad = (laid_out(value, layout) for value in maps("threads", 2, 48, 24, 40, 5, 2, 2, torch.float32))
        results = []
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            results.append([carafe(features, masks, 5, 2, 2), *carafe_backward(grad, features, masks, 5, 2, 2, "zeros")])
        torch.set_num_threads(2)
        for result in results[1:]:
            equal = all(torch.equal(a, b) for a, b in zip(results[0], result))
            tally.check(equal, f"the same bits for every number of threads, {layout}")
    tally.group("thread counts")


def test_gradcheck(tally):
    for groups, scale, border in ((1, 2, "zeros"), (2, 1, "reflect"), (2, 3, "zeros")):
        features, masks, _ = maps("gradcheck", 1, 4, 3, 4, 3, groups, scale, torch.float64)
        inputs = (features.requires_grad_(), masks.requires_grad_())
        call = lambda f, m: carafe(f, m, 3, groups, scale, border)  # noqa: E731, B023
        tally.check(torch.autograd.gradcheck(call, inputs, raise_exception=False), f"gradcheck {groups} {scale} {border}")
        tally.check(torch.autograd.gradgradcheck(call, inputs, raise_exception=False), f"gradgradcheck {groups} {scale} {border}")
    features, masks, _ = maps("partial", 1, 4, 6, 6, 5, 1, 2, torch.float32)
    carafe(features.requires_grad_(), masks, 5).sum().backward()  # an expanded gradient
    tally.check(features.grad is not None and masks.grad is None, "features alone require a gradient")
    tally.group("gradcheck")


def test_opcheck(tally):
    features, masks, grad = maps("opcheck", 2, 4, 5, 6, 3, 2, 2, torch.float32)
    for layout in ("nchw", "nhwc"):
        inputs = [laid_out(value, layout).requires_grad_() for value in (features, masks)]
        registration(tally, carafe.default, (*inputs, 3, 2, 2, "reflect"))
        registration(tally, carafe_backward.default, (laid_out(grad, layout), *inputs, 3, 2, 2, "reflect"))
    tally.group("opcheck")


def test_errors(tally):
    features, masks = torch.zeros(1, 4, 4, 4), torch.zeros(1, 25, 8, 8)
    grad = torch.zeros(1, 4, 8, 8)
    refusals = [
        (lambda: carafe(features[0], masks, 5), r"expected 4 dimensions .* for features, got 3"),
        (lambda: carafe(features, masks[0], 5), r"expected 4 dimensions .* for masks, got 3"),
        (lambda: carafe(features, masks[:, :24], 5), r"expected shape \[1, 25, 8, 8\] for masks, got \[1, 24, 8, 8\]"),
        (lambda: carafe(features, masks[..., :7], 5), r"expected shape .* for masks, got \[1, 25, 8, 7\]"),
        (lambda: carafe(features, masks.double(), 5), r"expected the dtype of features \(Float\) for masks, got Double"),
        (lambda: carafe(features.int(), masks.int(), 5), r"expected float32, .* for features, got Int"),
        (lambda: carafe(features, masks, 4), r"expected an odd number in 1..31 for kernel_size, got 4"),
        (lambda: carafe(features, masks, 33), r"expected an odd number in 1..31 for kernel_size, got 33"),
        (lambda: carafe(features, masks, -1), r"for kernel_size, got -1"),
        (lambda: carafe(features, masks, 5, 1, 5), r"expected 1..4 for scale, got 5"),
        (lambda: carafe(features, masks, 5, 3), r"expected a divisor of the 4 channels .* for groups, got 3"),
        (lambda: carafe(features, masks, 5, 0), r"expected at least 1 for groups, got 0"),
        (lambda: carafe(features, masks, 5, 1, 2, "edge"), r'for border, got "edge"'),
        (lambda: carafe(torch.zeros(1, 1, 2, 4), torch.zeros(1, 25, 4, 8), 5, 1, 2, "reflect"), r'for features with border "reflect", got 2 x 4'),
        (lambda: carafe(features, masks.to("meta"), 5), r"expected the device of features \(cpu\) for masks, got meta"),
        (lambda: carafe_backward(grad[:, :3], features, masks, 5, 1, 2, "zeros"), r"expected shape \[1, 4, 8, 8\] for grad_output"),
        (lambda: carafe_backward(grad.double(), features, masks, 5, 1, 2, "zeros"), r"for grad_output, got Double"),
    ]  # fmt: skip
    for number, (call, pattern) in enumerate(refusals):
        tally.raises(call, pattern, f"refusal {number}")
    tally.group("refused arguments")


def test_memory(tally):
    """Peak memory is the inputs and the outputs and less than a tenth more."""
    for layout in ("nchw", "nhwc"):
        features, masks, grad = (laid_out(value, layout) for value in maps("memory", 1, 128, 128, 128, 5, 1, 2, torch.float32))
        inputs = (features.nbytes + masks.nbytes + grad.nbytes) * 0.1
        grown = peak_memory_bytes(lambda: carafe(features, masks, 5))
        tally.check(grown < 1.1 * grad.nbytes + inputs, f"forward {layout}: {grown} bytes for an output of {grad.nbytes}")
        outputs = features.nbytes + masks.nbytes
        grown = peak_memory_bytes(lambda: carafe_backward(grad, features, masks, 5, 1, 2, "zeros"))
        tally.check(grown < 1.1 * outputs + inputs, f"backward {layout}: {grown} bytes for outputs of {outputs}")
    tally.group("peak memory")


def test_streamed_outputs(tally):
    """Outputs above 24 MB are written past the caches."""
    for layout, dtype in itertools.product(("nchw", "nhwc"), (torch.float32, torch.bfloat16)):
        channels = 64 if dtype == torch.float32 else 128
        features, masks, _ = (laid_out(value, layout) for value in maps("stream", 1, channels, 192, 192, 3, 1, 2, dtype))
        got = carafe(features, masks, 3)
        rows = slice(100, 104)
        want = slow_carafe(features[:, :, 48:56].double(), masks[:, :, 96:112].double(), 3, 1, 2, "zeros")[:, :, 4:8]
        tolerance = 1e-4 if dtype == torch.float32 else 1e-2
        tally.close(got[:, :, rows], want, tolerance, tolerance, f"streamed {layout} {dtype}")
    tally.group("streamed outputs")


def test_outputs(tally):
    for groups, scale, k in ((1, 2, 5), (2, 1, 3), (1, 3, 3)):
        features, masks, _ = maps("outputs", 2, 6, 5, 37, k, groups, scale, torch.float32)
        written_outputs(tally, carafe, (features, masks), (k, groups, scale, "zeros"))


def sweep(tally):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    for test in (test_goldens, test_common_shapes, test_random_shapes, test_large_kernels, test_degenerate_shapes,
                 test_special_values, test_determinism_and_threads, test_streamed_outputs):  # fmt: skip
        test(tally)


run(None, sweep, (test_gradcheck, test_opcheck, test_errors, test_outputs, test_memory))
