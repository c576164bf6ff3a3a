"""The operators on a GPU against the golden cases and against the CPU kernels of the same library.

python test/cuda/check.py LIBRARY GOLDENS [--device cuda:0] [--quick]

float32 meets the tolerances of the golden cases; float16, bfloat16 and float64 meet the CPU kernels in float64 on the
same rounded inputs. Prints one line a group and `N passed, N failed`; exits 1 on a failure. --quick leaves out the
larger maps, for runs under compute-sanitizer.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "python" / "ops"))
from detection import test_detection  # noqa: E402
from golden import Tally, cases, uniform  # noqa: E402
from operator_checks import TOLERANCES, layouts, row_planar  # noqa: E402

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def golden_calls(goldens):
    """(case, inputs, operator of the inputs, names of the outputs) of every operator's cases."""
    ops = torch.ops.freqfusion
    for case in cases(goldens / "carafe"):
        c = case.config
        arguments = (c["kernel_size"], c["group"], c["up"], c["border"])
        inputs = [case.inputs["features"], case.inputs["mask"]]
        yield case, inputs, (lambda f, m, a=arguments: [ops.carafe(f, m, *a)]), ["output"]
        if "grad_output" in case.inputs:
            inputs = [case.inputs["grad_output"], *inputs]
            yield case, inputs, (lambda g, f, m, a=arguments: list(ops.carafe_backward(g, f, m, *a))), ["grad_features", "grad_mask"]
    for case in cases(goldens / "kernel_normalizer"):
        c = case.config
        arguments = (c["kernel"], c["hamming_window"], c["group"])
        yield case, [case.inputs["mask"]], (lambda m, a=arguments: [ops.kernel_normalizer(m, *a)]), ["normalized"]
    for case in cases(goldens / "local_sim"):
        c = case.config
        arguments = (c["k"], c["dilation"], {"cos": "cosine", "dot": "dot"}[c["sim"]])
        yield case, [case.inputs["x"]], (lambda x, a=arguments: [ops.local_similarity(x, *a)]), ["similarity"]
    for case in cases(goldens / "offset_sampler"):
        if case.name.startswith("sample_only"):
            groups = case.config["groups"]
            inputs = [case.inputs["x"], case.inputs["offset"]]
            yield case, inputs, (lambda x, o, g=groups: [ops.offset_sampler(x, o, g)]), ["output"]


def test_goldens(tally, device, goldens):
    for case, inputs, call, names in golden_calls(goldens):
        for dtype in DTYPES:
            rounded = [value.to(dtype) for value in inputs]
            wanted = call(*[value.double() for value in rounded])
            for channels_last in (False, True):
                memory_format = torch.channels_last if channels_last else torch.contiguous_format
                outputs = call(*[value.to(device).contiguous(memory_format=memory_format) for value in rounded])
                for name, got, want in zip(names, outputs, wanted):
                    what = f"{case.name} {name} {dtype} channels_last={channels_last}"
                    if dtype == torch.float32:
                        missed = [line for line in case.mismatches({name: got.cpu()}) if "not computed" not in line]
                        tally.check(not missed, f"{what}: {missed}")
                    tally.close(got.cpu(), want, *TOLERANCES[dtype], what)
    tally.group("golden cases, float32, float16, bfloat16 and float64")


def values(name, *shape):
    return uniform(f"cuda/{name}", list(shape), -1, 1)


def shapes(quick):
    """(name, operator, inputs) at the sizes of networks, with few channels and with odd ones."""
    ops = torch.ops.freqfusion
    kernels = ((5, 2, "zeros"), (5, 2, "reflect"), (3, 1, "zeros"), (3, 2, "reflect"), (7, 3, "zeros"))
    for height, width in ((7, 9),) if quick else ((7, 9), (33, 40), (96, 128)):
        for channels in (9, 16) if quick else (3, 9, 25, 64):
            for k, scale, border in kernels if height < 64 else kernels[:1]:
                inputs = [values("f", 1, channels, height, width), values("m", 1, k * k, height * scale, width * scale)]
                name = f"{channels} channels {height}x{width} k={k} scale={scale} {border}"
                yield f"carafe {name}", (lambda f, m, a=(k, 1, scale, border): [ops.carafe(f, m, *a)]), inputs
                grad = values("g", 1, channels, height * scale, width * scale)
                backward = lambda g, f, m, a=(k, 1, scale, border): list(ops.carafe_backward(g, f, m, *a))  # noqa: E731
                yield f"carafe_backward {name}", backward, [grad, *inputs]
                if scale == 1:
                    yield f"high_pass {name}", (lambda f, m, a=(k, 1, border): [ops.high_pass(f, m, *a)]), inputs
        x, offset = values("x", 1, 32, 2 * height, 2 * width), 3 * values("o", 1, 32, height, width)
        yield "offset_sampler", (lambda x, o: [ops.offset_sampler(x, o, 4)]), [x, offset]
        backward = lambda g, x, o: list(ops.offset_sampler_backward(g, x, o, 4))  # noqa: E731
        yield "offset_sampler_backward", backward, [values("gx", *x.shape), x, offset]
        for k in (3, 5):
            x, grad = values("s", 1, 40, height, width), values("gs", 1, k * k - 1, height, width)
            yield f"local_similarity k={k}", (lambda x, k=k: [ops.local_similarity(x, k, 2)]), [x]
            backward = lambda g, x, k=k: [ops.local_similarity_backward(g, x, k, 2, "cosine")]  # noqa: E731
            yield f"local_similarity_backward k={k}", backward, [grad, x]
            masks, grad = 4 * values("n", 2, 2 * k * k, height, width), values("gn", 2, 2 * k * k, height, width)
            yield f"kernel_normalizer k={k}", (lambda m, k=k: [ops.kernel_normalizer(m, k, True, 2)]), [masks]
            backward = lambda g, m, k=k: [ops.kernel_normalizer_backward(g, m, k, 2)]  # noqa: E731
            yield f"kernel_normalizer_backward k={k}", backward, [grad, masks]


def wide(value):
    """float32 for 16-bit values: what the operators between the convolutions take."""
    return value if value.dtype == torch.float64 else value.float()


def group_norm(x, weight, bias):
    out = torch.empty(x.shape, dtype=wide(x).dtype, device=x.device)
    return [torch.ops.freqfusion.group_norm.out(x, 4, weight, bias, out=out)]


def fusion_shapes(quick):
    """The operators that FreqFusion calls beside its convolutions: (name, operator, inputs)."""
    ops = torch.ops.freqfusion
    for height, width in ((7, 9),) if quick else ((7, 9), (33, 40), (96, 128)):
        logits = [3 * values(f"kp{c}{s}", 1, c, s * height, s * width) for c in (25, 9) for s in (2, 1)]
        for border, channels_last in (("zeros", False), ("reflect", True)):
            arguments = (5, 3, 1, True, border)
            predict = lambda *maps, a=arguments, last=channels_last: ops.kernel_predictor(  # noqa: E731
                *map(wide, maps), *a, maps[0].dtype, last, True)  # fmt: skip
            yield f"kernel_predictor {border} {height}x{width}", predict, logits
        other = lambda *maps: ops.kernel_predictor(*map(wide, maps), 3, 5, 1, False, "zeros", maps[0].dtype)  # noqa: E731
        yield "kernel_predictor 3, 5", other, [logits[2], logits[3], logits[0], logits[1]]
        hr, lr, start = values("sh", 1, 16, 2 * height, 2 * width), values("sl", 1, 64, height, width), values("st", 1, 32, 1, 1)
        yield "sampling_offset", (lambda *maps: [ops.sampling_offset(*map(wide, maps), True)]), [hr, lr, start]
        x, weight, bias = values("gx", 2, 32, height, width) + 2, values("gw", 32), values("gb", 32)
        yield f"group_norm {height}x{width}", group_norm, [x, weight, bias]
        for outputs, k in ((25, 3), (64, 1), (9, 3)):
            weight, bias = values(f"rw{outputs}", outputs, 32, k, k) / 8, values(f"rb{outputs}", outputs)
            convolve = lambda x, w, b: [ops.row_conv(x, w, b)]  # noqa: E731
            yield f"row_conv {outputs} of {k}x{k}", convolve, [values("rx", 2, 32, height, width), weight, bias]


def segnext_shapes(quick):
    """The operators of SegNeXt: (name, operator, inputs), weights in panels."""
    ops = torch.ops.freqfusion
    for channels, height, width in ((24, 9, 11),) if quick else ((24, 9, 11), (64, 33, 40), (33, 24, 24)):
        x, panels, hidden = values("px", 2, channels, height, width), -(-channels // 16), 4 * channels
        def matrix(name, rows, columns):
            return values(name, -(-rows // 16), columns, 16) / columns**0.5
        def padded(name, rows):
            return values(name, -(-rows // 16) * 16)
        for activation in ("none", "relu", "gelu"):
            call = lambda x, w, b, f, r, s, c=channels, a=activation: [ops.pointwise_conv(x, w, b, c, a, f, r, s)]  # noqa: E731
            parts = [matrix("pw", channels, channels), padded("pb", channels), values("pf", *x.shape), values("pr", *x.shape)]
            yield f"pointwise_conv {channels} {activation}", call, [x, *parts, padded("ps", channels)]
        strips = [values("sw", panels, 103, 16) / 5, values("sb", panels, 7, 16)]
        yield f"strip_convs {channels}", (lambda x, w, b: [ops.strip_convs(x, w, b)]), [x, *strips]
        mlp = [matrix("m1", hidden, channels), padded("n1", hidden), values("dw", hidden // 16 + (hidden % 16 > 0), 9, 16) / 3,
               padded("db", hidden), matrix("m2", channels, hidden), padded("n2", channels)]  # fmt: skip
        yield f"conv_mlp {channels}", (lambda *parts, h=hidden: [ops.conv_mlp(*parts, h)]), [x, *mlp]
        pixels, bases = values("fx", 2, height * width, channels).abs(), values("fb", 2, channels, 16).abs()
        yield "nmf", (lambda x, b: [ops.nmf(wide(x), wide(b), 5)]), [pixels, bases]


def moved(tensor, device):
    """The tensor on the device with its own strides and offset, gaps included."""
    room = tensor.untyped_storage().nbytes() // tensor.element_size()
    whole = torch.full((room,), float("nan"), dtype=tensor.dtype, device=device)
    return whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).copy_(tensor)


def arrangements(value):
    """Weights have one layout, whatever the maps have."""
    if value.dim() == 4:
        yield "row-planar", row_planar(value)
        yield from layouts(value)
    else:
        for layout in ("row-planar", *(layout for layout, _ in layouts(torch.zeros(1, 1, 1, 1)))):
            yield layout, value


def test_shapes(tally, device, quick):
    for name, call, inputs in (*shapes(quick), *fusion_shapes(quick), *segnext_shapes(quick)):
        for dtype in DTYPES:
            rounded = [value.to(dtype) for value in inputs]
            wanted = call(*[value.double() for value in rounded])
            arranged = {}
            for value in rounded:
                for layout, copy in arrangements(value):
                    arranged.setdefault(layout, []).append(moved(copy, device))
            for layout, given in arranged.items():
                for got, want in zip(call(*given), wanted):
                    rtol, atol = TOLERANCES[dtype]
                    largest = float(want.abs().max()) if want.numel() else 0.0
                    tally.close(got.cpu(), want, rtol, atol * max(1.0, largest), f"{name} {dtype} {layout}")
    tally.group("sizes, dtypes and layouts")


def test_gradcheck(tally, device):
    ops = torch.ops.freqfusion
    start = values("start", 1, 8, 1, 1).double().to(device)
    checks = {
        "carafe": (lambda f, m: ops.carafe(f, m, 3, 2, 2, "reflect"), values("gf", 1, 4, 4, 5), values("gm", 1, 18, 8, 10)),
        "high_pass": (lambda f, m: ops.high_pass(f, m, 3), values("hf", 1, 3, 4, 5), values("hm", 1, 9, 4, 5)),
        "kernel_normalizer": (lambda m: ops.kernel_normalizer(m, 3), values("kn", 1, 9, 3, 4)),
        "local_similarity": (lambda x: ops.local_similarity(x, 3, 1), values("ls", 1, 4, 4, 5)),
        "offset_sampler": (lambda x, o: ops.offset_sampler(x, o, 2), values("ox", 1, 4, 6, 8), 0.2 * values("oo", 1, 16, 3, 4) + 0.1),
        "row_conv": (lambda x, w, b: ops.row_conv(x, w, b), values("cx", 1, 3, 4, 5), values("cw", 4, 3, 3, 3), values("cb", 4)),
        "sampling_offset": (lambda h, l: ops.sampling_offset(h, l, start), values("hr", 1, 4, 6, 4), values("lr", 1, 16, 3, 2)),
        "kernel_predictor": (lambda *m: ops.kernel_predictor(*m, 3, 3, 1, True, "zeros", torch.float64),
                             values("lh", 1, 9, 4, 6), values("ll", 1, 9, 2, 3), values("hh", 1, 9, 4, 6), values("hl", 1, 9, 2, 3)),
    }  # fmt: skip
    for name, (call, *inputs) in checks.items():
        given = [value.double().to(device).requires_grad_() for value in inputs]
        # The sampler's gradient adds with atomics: equal to the last bits only.
        good = torch.autograd.gradcheck(call, given, raise_exception=False, nondet_tol=1e-10)
        tally.check(good, f"gradcheck {name}")
    tally.group("gradcheck")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("goldens", type=Path)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.ops.load_library(arguments.library)
    # float32 means float32 here: libtorch's convolutions use TF32 unless they are told not to.
    torch.backends.cudnn.allow_tf32 = False
    tally = Tally()
    test_goldens(tally, arguments.device, arguments.goldens)
    test_shapes(tally, arguments.device, arguments.quick)
    test_gradcheck(tally, arguments.device)
    test_detection(tally, arguments.device)
    tally.finish()


main()
