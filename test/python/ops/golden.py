"""Golden cases and synthetic values for the operator tests (format: test/goldens/README.md)."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[3] / "bench"))
from reference.tensor_file import load_file  # noqa: E402


def fnv1a(text):
    key = 0x811C9DC5
    for byte in text.encode():
        key = ((key ^ byte) * 0x01000193) & 0xFFFFFFFF
    return key


def uniform(name, shape, low, high, seed=0):
    """Values that depend on (seed, name, flat index) alone: float32 in [low, high)."""
    count = int(np.prod(shape, dtype=np.int64))
    with np.errstate(over="ignore"):
        x = np.uint32(fnv1a(f"{seed}/{name}")) + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    unit = (x >> np.uint32(8)).astype(np.float64) / 2.0**24
    values = (low + (high - low) * unit).astype(np.float32)
    return torch.from_numpy(values.reshape(shape))


def parse_slice(text):
    """":, ::2" -> the index (slice(None), slice(None, None, 2))."""
    parts = [[int(bound) if bound.strip() else None for bound in part.split(":")] for part in text.split(",")]
    return tuple(slice(*part) for part in parts)


class Case:
    """One folder `<family>/<case>`: config, inputs by name and the expected outputs by name."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.name = self.folder.name
        self.json = json.loads((self.folder / "case.json").read_text())
        self.config = self.json["config"]
        self.expected = load_file(self.folder / "outputs.safetensors")
        stored_file = self.folder / "inputs.safetensors"
        stored = load_file(stored_file) if stored_file.exists() else {}
        self.inputs = {}
        for entry in self.json["inputs"]:
            name = entry["name"]
            if entry.get("stored"):
                self.inputs[name] = stored[name]
            else:
                low, high = entry["range"]
                self.inputs[name] = uniform(f"input/{name}", entry["shape"], low, high, self.json.get("seed", 0))

    def mismatches(self, outputs):
        """Names of the expected outputs that `outputs` misses or gets wrong, each with its greatest error."""
        wrong = []
        for entry in self.json["outputs"]:
            name = entry["name"]
            want = self.expected[name].double()
            if name not in outputs:
                wrong.append(f"{name}: not computed")
                continue
            got = outputs[name].detach().double()
            if "slice" in entry:
                got = got[parse_slice(entry["slice"])]
            if got.shape != want.shape:
                wrong.append(f"{name}: shape {list(got.shape)}, expected {list(want.shape)}")
                continue
            tolerance = entry["tolerance"]
            error = (got - want).abs()
            allowed = tolerance["atol"] + tolerance["rtol"] * want.abs()
            if not bool((error <= allowed).all()):
                wrong.append(f"{name}: greatest error {error.max().item():.3g}")
        return wrong


def cases(family_folder):
    """Every case of a family's folder, in order of name."""
    return [Case(path.parent) for path in sorted(Path(family_folder).glob("*/case.json"))]


class Tally:
    """Counts checks; prints one line a group and the sum at the end."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.group_start = (0, 0)

    def check(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"  failed: {what}", flush=True)

    def close(self, got, want, rtol, atol, what):
        got, want = got.detach().double(), want.detach().double()
        good = got.shape == want.shape and bool(((got - want).abs() <= atol + rtol * want.abs()).all())
        error = (got - want).abs().max().item() if got.shape == want.shape and got.numel() else 0.0
        self.check(good, f"{what}: shapes {list(got.shape)} and {list(want.shape)}, greatest difference {error:.3g}")

    def raises(self, call, pattern, what):
        try:
            call()
        except Exception as error:  # libtorch raises RuntimeError, the dispatcher sometimes others
            self.check(re.search(pattern, str(error)) is not None, f"{what}: message is {str(error).splitlines()[0]}")
        else:
            self.check(False, f"{what}: no error")

    def group(self, title):
        passed, failed = self.passed - self.group_start[0], self.failed - self.group_start[1]
        self.group_start = (self.passed, self.failed)
        print(f"{title}: {passed} passed, {failed} failed", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        raise SystemExit(1 if self.failed else 0)


def peak_memory_bytes(call):
    """Growth of the process's peak resident memory during `call`, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_bytes("VmRSS")
    call()
    return resident_bytes("VmHWM") - before


def resident_bytes(field):
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1)) * 1024


def instruction_sets():
    """The instruction sets that this machine can run, for FREQFUSION_ISA; where it is set, that one alone."""
    if "FREQFUSION_ISA" in os.environ:
        return [os.environ["FREQFUSION_ISA"]]
    flags = set()
    if os.path.exists("/proc/cpuinfo"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags = set(line.split(":", 1)[1].split())
                break
    names = ["baseline"]
    if {"avx2", "fma"} <= flags:
        names.append("avx2")
        if {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= flags:
            names.append("avx512")
    return names
