"""libfreqfusion_ops inside PyTorch: it loads, registers what it should, and changes nothing else.

Usage: python test_library.py LIBRARY [GOLDENS]
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent / "ops"))
from golden import Tally  # noqa: E402

# Every overload that is registered.
OPERATORS = [
    *(f"{name}{part}" for name in ("carafe", "kernel_normalizer", "local_similarity", "offset_sampler", "roi_align")
      for part in ("", ".out", "_backward")),
    "conv_mlp", "group_norm.out", "high_pass", "high_pass.out", "kernel_predictor", "mask_paste", "mask_runs", "nmf", "nms",
    "pointwise_conv", "roi_extract", "row_conv", "sampling_offset", "strip_convs", "winograd_conv", "winograd_weight",
]  # fmt: skip
# Made of other operators: one kernel for all devices, and PyTorch's own gradients.
COMPOSED = ["batched_nms", "bbox2delta", "delta2bbox", "multiclass_nms", "roi_levels"]
# Each operator on the smallest inputs that mean something.
CALLS = {
    "carafe": lambda ops, t: ops.carafe(t(1, 2, 3, 4), t(1, 9, 6, 8), 3),
    "kernel_normalizer": lambda ops, t: ops.kernel_normalizer(t(1, 9, 3, 4), 3),
    "local_similarity": lambda ops, t: ops.local_similarity(t(1, 2, 5, 6)),
    "offset_sampler": lambda ops, t: ops.offset_sampler(t(1, 8, 6, 8), t(1, 32, 3, 4)),
    "roi_align": lambda ops, t: ops.roi_align(t(1, 2, 5, 6), t(3, 5).detach() * 0, 2, 2),
    "high_pass": lambda ops, t: ops.high_pass(t(1, 2, 3, 4), t(1, 9, 3, 4), 3),
    "row_conv": lambda ops, t: ops.row_conv(t(1, 2, 3, 4), t(5, 2, 3, 3), t(5)),
    "sampling_offset": lambda ops, t: ops.sampling_offset(t(1, 4, 6, 8), t(1, 16, 3, 4), t(1, 8, 1, 1)),
    "kernel_predictor": lambda ops, t: ops.kernel_predictor(
        t(1, 25, 6, 8), t(1, 25, 3, 4), t(1, 9, 6, 8), t(1, 9, 3, 4), 5, 3, 1, True, "zeros", torch.float32)[1],
}


def has_kernel(name, key):
    return torch._C._dispatch_has_kernel_for_dispatch_key(f"freqfusion::{name}", key)


def run_apart(library, lines, **variables):
    """Exit status and output of a Python of its own that has loaded the library."""
    script = f"import torch\ntorch.ops.load_library({str(library)!r})\n{lines}"
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout.strip(), done.stderr


def main(library):
    tally = Tally()
    library = Path(library).resolve()

    before = torch.empty(1 << 20).untyped_storage().nbytes()
    torch.ops.load_library(str(library))
    torch.ops.load_library(str(library))
    tally.check(True, "the same file loads twice")
    tally.check(torch.empty(1 << 20).untyped_storage().nbytes() == before, "allocations are as before")
    tally.group("loading")

    schemas = (schema for schema in torch._C._jit_get_all_schemas() if schema.name.startswith("freqfusion::"))
    registered = {f"{s.name.split('::')[1]}.{s.overload_name}".rstrip(".") for s in schemas}
    expected = {*OPERATORS, *COMPOSED}
    tally.check(registered == expected, f"not in both lists: {sorted(registered ^ expected)}")
    for name in COMPOSED:
        tally.check(has_kernel(name, "CompositeImplicitAutograd"), f"{name} is made of other operators")
    for name in OPERATORS:
        for key in ("CPU", "Meta", "Autograd"):
            tally.check(has_kernel(name, key), f"{name} has a kernel for {key}")
    tally.group("registrations")

    for name, call in CALLS.items():
        torch.manual_seed(3)
        real = call(torch.ops.freqfusion, lambda *shape: torch.randn(shape))
        shape_only = call(torch.ops.freqfusion, lambda *shape: torch.empty(shape, device="meta"))
        tally.check(real.shape == shape_only.shape, f"{name}: the shape function agrees with the kernel")
        made = call(torch.ops.freqfusion, lambda *shape: torch.randn(shape, requires_grad=True))
        tally.check(made.requires_grad, f"{name}: the result takes part in autograd")
        with torch.inference_mode():
            call(torch.ops.freqfusion, lambda *shape: torch.randn(shape))
        tally.check(True, f"{name}: runs in inference mode")
    tally.group("calls")

    for isa in ("baseline", "avx2", "avx512"):
        status, out, err = run_apart(
            library,
            "x = torch.linspace(0, 1, 54).reshape(1, 2, 3, 9)\n"
            "print(round(torch.ops.freqfusion.carafe(x, torch.ones(1, 9, 3, 9), 3, 1, 1).sum().item(), 3))",
            FREQFUSION_ISA=isa,
        )
        tally.check(status == 0 and float(out) > 0, f"FREQFUSION_ISA={isa}: {err[-200:]}")

    status, out, err = run_apart(
        library, "print(sum('gomp' in row for row in set(r.split()[-1] for r in open('/proc/self/maps'))))"
    )
    tally.check(status == 0 and out == "1", f"one OpenMP runtime in the process, not {out} {err[-200:]}")
    tally.group("processes")
    tally.finish()


if __name__ == "__main__":
    main(sys.argv[1])
