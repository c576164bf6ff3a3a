"""What the tests of the operators share: layouts, instruction sets, registration and memory."""

import os
import re
import subprocess
import sys

import torch
from golden import Tally, instruction_sets, peak_memory_bytes

# Whether the library under test runs the CUDA kernels' bodies and their glue on the CPU. They differ from the CPU kernels
# in the layout of some results, and take 16-bit types where the CPU kernels want float32.
GPU_KERNELS = "cuda_on_cpu" in sys.argv[1]

TOLERANCES = {
    torch.float64: (1e-11, 1e-12),
    torch.float32: (1e-4, 2e-5),
    torch.float16: (4e-3, 4e-3),
    torch.bfloat16: (2e-2, 2e-2),
}


def layouts(tensor):
    """The same values in every layout that a kernel may meet: (name, tensor)."""
    yield "contiguous", tensor.contiguous()
    yield "channels-last", tensor.contiguous(memory_format=torch.channels_last)
    n, c, h, w = tensor.shape
    larger = torch.full((n + 1, c + 2, h + 3, w + 5), float("nan"), dtype=tensor.dtype)
    for name, memory_format in (("sliced", torch.contiguous_format), ("sliced channels-last", torch.channels_last)):
        window = larger.contiguous(memory_format=memory_format)[1:, 1:-1, 2:-1, 3:-2]
        yield name, window.copy_(tensor)
    wider = torch.full((n, c, h, 2 * w), float("nan"), dtype=tensor.dtype)[..., ::2]
    yield "every other column", wider.copy_(tensor)


def same_format(tally, tensor, output, what):
    """A channels-last input gives a channels-last output, a contiguous one a contiguous output."""
    expected = tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
    memory_format = torch.channels_last if expected else torch.contiguous_format
    if tensor.is_contiguous() or expected:
        tally.check(output.is_contiguous(memory_format=memory_format), f"{what}: memory format of the output")


def sweep_instruction_sets(tally, arguments):
    """Runs the calling script's --sweep once for each instruction set: the choice is made once a process."""
    for name in instruction_sets():
        child = subprocess.run(
            [sys.executable, sys.argv[0], *arguments, "--sweep"],
            env={**os.environ, "FREQFUSION_ISA": name, "OMP_WAIT_POLICY": "passive"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        counts = re.search(r"(\d+) passed, (\d+) failed\s*$", child.stdout)
        if counts is None:
            tally.check(False, f"{name}: {child.stdout[-400:]} {child.stderr[-400:]}")
        else:
            tally.passed += int(counts.group(1))
            tally.failed += int(counts.group(2))
            for line in child.stdout.splitlines():
                if line.startswith("  failed"):
                    print(f"{line} ({name})")
        tally.group(f"dtypes, layouts and shapes, {name}")


def run(goldens, sweep, others):
    """A test program's main part: goldens(tally), sweep(tally) in every instruction set, the others once."""
    tally = Tally()
    if "--sweep" in sys.argv:
        sweep(tally)
        tally.finish()
    if goldens is not None:
        goldens(tally)
    sweep_instruction_sets(tally, sys.argv[1:3])
    for test in others:
        test(tally)
    tally.finish()


def given_outputs(shape, dtype):
    """Room for an output in every layout that a caller may give: (name, tensor), filled with NaN."""
    n, c, h, w = shape
    blank = torch.full(shape, float("nan"), dtype=dtype)
    yield from layouts(blank)
    pitch = w + 3
    rows = torch.full((n, h, c, pitch), float("nan"), dtype=dtype)
    yield "row-planar", rows.permute(0, 2, 1, 3)[..., :w]
    yield "transposed", torch.full((n, c, w, h), float("nan"), dtype=dtype).transpose(2, 3)


def row_planar(tensor):
    """The same values as [N, H, C, pitch], seen as [N, C, H, W]: the layout of maps inside a module."""
    n, c, h, w = tensor.shape
    rows = torch.full((n, h, c, (w + 15) // 16 * 16 + 16), float("nan"), dtype=tensor.dtype)
    return rows.permute(0, 2, 1, 3)[..., :w].copy_(tensor)


def written_outputs(tally, operator, inputs, arguments, in_place=False):
    """operator.out fills outputs of any layout, touches nothing else and refuses what it cannot write."""
    want = operator(*inputs, *arguments)
    for input_layout in ("given", "channels-last", "row-planar"):
        given = inputs
        if input_layout == "channels-last":
            given = [value.contiguous(memory_format=torch.channels_last) for value in inputs]
        elif input_layout == "row-planar":
            given = [row_planar(value) for value in inputs]
        for layout, out in given_outputs(want.shape, want.dtype):
            what = f"{operator}.out, inputs {input_layout}, output {layout}"
            result = operator(*given, *arguments, out=out)
            tally.check(result.data_ptr() == out.data_ptr() and result.stride() == out.stride(), f"{what}: returns out")
            tally.close(out, want, 1e-5, 1e-6, what)
            everything = torch.empty(0, dtype=out.dtype).set_(out.untyped_storage())
            written = everything.numel() - int(everything.isnan().sum())
            tally.check(written == out.numel(), f"{what}: {written} values written, expected {out.numel()}")
    first = inputs[0]
    call = lambda out: operator(*inputs, *arguments, out=out)  # noqa: E731
    tally.raises(lambda: call(torch.empty_like(want).double()), "for out, got Double", "dtype of out")
    tally.raises(lambda: call(want[:, :, 1:]), r"expected shape .* for out, got", "shape of out")
    tally.raises(lambda: call(want[:, :, :, :1].expand(want.shape)), "unsupported operation", "out overlaps itself")
    if in_place:
        copy = first.clone()
        tally.close(operator(copy, *inputs[1:], *arguments, out=copy), want, 1e-6, 1e-7, "in place")
    elif first.shape == want.shape:
        tally.raises(lambda: call(first), "unsupported operation", "out is an input")
    leaf = first.clone().requires_grad_()
    result = operator(leaf, *inputs[1:], *arguments, out=torch.empty_like(want))
    tally.raises(lambda: result.sum().backward(), "not implemented", "gradient through out")
    out = torch.empty_like(want)
    before = out._version
    call(out)
    tally.check(out._version > before, "out counts as written")
    registration(tally, operator.out, (*inputs, *arguments), {"out": torch.empty_like(want)})
    tally.group("given outputs")


def registration(tally, operator, arguments, keywords=None, strides_of_kernel=False):
    """strides_of_kernel: the shape function knows the strides that the CPU kernels give, and those on a GPU differ."""
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    if strides_of_kernel and GPU_KERNELS:
        checks = ("test_schema", "test_autograd_registration")
    try:
        results = torch.library.opcheck(operator, arguments, keywords or {}, test_utils=checks)
        for check in checks:
            tally.check(results[check] == "SUCCESS", f"{operator}: {check} is {results[check]}")
    except Exception as error:
        tally.check(False, f"{operator}: {error}")


def no_double_backward(tally, output, inputs, what):
    """The second derivative is refused in words, never silently wrong."""
    grads = torch.autograd.grad((output * output).sum(), inputs, create_graph=True)
    tally.raises(lambda: torch.autograd.grad(grads[0].sum(), inputs), "not implemented", what)


def memory(tally, call, inputs, what):
    """Peak memory is inputs + outputs + under 10 %: the call itself may add its outputs and that tenth."""
    call()  # thread pools and first-touch costs are not the operator's
    outputs = call()
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    output_bytes = sum(output.nbytes for output in outputs)
    all_bytes = output_bytes + sum(tensor.nbytes for tensor in inputs)
    del outputs
    grown = peak_memory_bytes(call)
    tally.check(grown <= output_bytes + 0.1 * all_bytes, f"{what}: grew by {grown} bytes for {output_bytes} of output")


def distant_planes(channels, height, width):
    """bfloat16 [1, 2, ...] whose second plane begins beyond 2^31 elements; untouched pages cost nothing."""
    step = 2**31 + 64
    base = torch.empty(step + height * width, dtype=torch.bfloat16)
    return base.as_strided((1, channels, height, width), (0, step, width, 1))
