"""Times the operators on a GPU: python bench/operators_on_cuda.py LIBRARY --json FILE [--markdown FILE] [--device cuda:0]

CUDA events, warm-up, the L2 cache flushed before every run, medians of 20. Columns: time, GB/s of the minimal traffic
(every input and output moved once), its share of the copy bandwidth measured in the same run, and for carafe in float32
the ratio to the unfold formulation in PyTorch eager. A case that fails is written down, and the next one runs.
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path

import torch
import torch.nn.functional as F

RUNS, WARM_UP = 20, 5


def seconds(call, flush):
    for _ in range(WARM_UP):
        call()
    times = []
    for _ in range(RUNS):
        flush.zero_()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def bytes_of(*tensors):
    return sum(tensor.nbytes for tensor in tensors)


def unfold_carafe(features, masks, k, scale):
    n, c, h, w = features.shape
    windows = F.unfold(features, k, padding=k // 2).view(n, c * k * k, h, w)
    windows = F.interpolate(windows, scale_factor=scale, mode="nearest").view(n, c, k * k, h * scale, w * scale)
    return (windows * masks[:, None]).sum(2)


def random(device, dtype, memory_format, *shape):
    return torch.randn(shape, device=device).to(dtype).contiguous(memory_format=memory_format)


def operator_cases(device):
    ops = torch.ops.freqfusion
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for layout, memory_format in (("nchw", torch.contiguous_format), ("nhwc", torch.channels_last)):
            make = lambda *shape, d=dtype, m=memory_format: random(device, d, m, *shape)  # noqa: E731
            for c, side in ((64, 128), (128, 128), (256, 64), (256, 128), (256, 256), (9, 256), (25, 256)):
                for k, scale in ((5, 2), (3, 1)):
                    x, masks = make(1, c, side, side), make(1, k * k, side * scale, side * scale).softmax(1)
                    name = f"carafe k{k} s{scale} {c}x{side}"
                    call = lambda: ops.carafe(x, masks, k, 1, scale)  # noqa: B023, E731
                    eager = None
                    if dtype == torch.float32 and layout == "nchw" and c * side * side <= 256 * 128 * 128:
                        eager = lambda: unfold_carafe(x, masks, k, scale)  # noqa: B023, E731
                    moved = bytes_of(x, masks) + x.nbytes * scale * scale
                    yield name, dtype, layout, call, moved, eager
            x, masks = make(1, 256, 128, 128), make(1, 25, 256, 256).softmax(1)
            grad = make(1, 256, 256, 256)
            call = lambda: ops.carafe_backward(grad, x, masks, 5, 1, 2, "zeros")  # noqa: B023, E731
            yield "carafe_backward k5 s2 256x128", dtype, layout, call, 2 * bytes_of(x, masks) + grad.nbytes, None
            x, masks = make(1, 64, 256, 256), make(1, 9, 256, 256).softmax(1)
            call = lambda: ops.high_pass(x, masks, 3)  # noqa: B023, E731
            yield "high_pass k3 64x256", dtype, layout, call, 2 * x.nbytes + masks.nbytes, None
            call = lambda: ops.kernel_normalizer(masks, 3)  # noqa: B023, E731
            yield "kernel_normalizer k3 256", dtype, layout, call, 2 * masks.nbytes, None
            call = lambda: ops.local_similarity(x, 3, 2)  # noqa: B023, E731
            yield "local_similarity k3 64x256", dtype, layout, call, x.nbytes + x.nbytes // 8, None
            offset = make(1, 32, 128, 128)
            call = lambda: ops.offset_sampler(x, offset, 4)  # noqa: B023, E731
            yield "offset_sampler g4 64x256", dtype, layout, call, 2 * x.nbytes + offset.nbytes, None


def describe(device):
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")[0].strip()
    except (OSError, subprocess.CalledProcessError):
        driver = "unknown"
    return {
        "gpu": torch.cuda.get_device_name(device),
        "driver": driver,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def measure(device, row, call, moved, eager, flush, copy):
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    row["peakExtraBytes"] = torch.cuda.max_memory_allocated(device) - before
    time = seconds(call, flush)
    row |= {"microseconds": time * 1e6, "gigabytesPerSecond": moved / time / 1e9, "shareOfCopy": moved / time / copy}
    if eager is not None:
        row["ratioToUnfold"] = seconds(eager, flush) / time


def table(machine, copy, rows):
    lines = [f"{machine['gpu']}, driver {machine['driver']}, torch {machine['torch']}; copy {copy / 1e9:.0f} GB/s", ""]
    lines += ["| case | dtype | layout | us | GB/s | of copy | unfold / this |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        head = f"| {row['name']} | {row['dtype']} | {row['layout']} |"
        if "error" in row:
            lines.append(f"{head} failed: {row['error']} | | | |")
            continue
        ratio = f"{row['ratioToUnfold']:.1f}" if "ratioToUnfold" in row else ""
        numbers = f"{row['microseconds']:.1f} | {row['gigabytesPerSecond']:.0f} | {100 * row['shareOfCopy']:.0f} %"
        lines.append(f"{head} {numbers} | {ratio} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--device", default="cuda:0")
    arguments = parser.parse_args()
    torch.ops.load_library(arguments.library)
    device = arguments.device
    torch.cuda.set_device(device)
    flush = torch.empty(256 << 20, dtype=torch.uint8, device=device)
    source = torch.empty(1 << 30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = 2 * source.nbytes / seconds(lambda: target.copy_(source), flush)
    del source, target
    machine, rows = describe(device), []
    with torch.inference_mode():
        for name, dtype, layout, call, moved, eager in operator_cases(device):
            row = {"name": name, "dtype": str(dtype).removeprefix("torch."), "layout": layout, "bytes": moved}
            try:
                measure(device, row, call, moved, eager, flush, copy)
            except Exception as error:  # written down; the other cases still run
                row["error"] = str(error).splitlines()[0]
            rows.append(row)
            result = {"machine": machine, "copyBytesPerSecond": copy, "rows": rows}
            arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    text = table(machine, copy, rows)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text)
    raise SystemExit(1 if any("error" in row for row in rows) else 0)


main()
