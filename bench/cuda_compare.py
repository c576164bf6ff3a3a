"""Compares freqfusion with PyTorch on a GPU: one run, the same inputs, times between CUDA events.

    npm run bench:compare -- --device cuda                  every case, each in its dtypes
    npm run bench:compare -- --device cuda --dtype float16 --cases 256,segnext
    npm run bench:compare -- --device cuda --save           write bench/results, and the README's block of GPUs

Each contender is a process of its own for the whole run, all on the one GPU. Results must agree with those of float32
before anything is timed; then all take turns, a few runs each. What cannot be timed is written down, and the next runs.
Needs torch and NumPy, and no other package: scripts/gpu.sh runs it on a fresh machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cases import fusion_options
from cuda_cases import CUDA_CASES, CUDA_LABELS, SMALL_CASES, TOLERANCES
from processes import ROOT, Contender, ContenderError, names, remark

TURNS, RUNS, WARMUP = 5, 5, 3
# What compiling a network may take: with less time left it is not begun.
COMPILE_SECONDS = 60


class CudaComparison:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.cases = SMALL_CASES if options.small else CUDA_CASES
        self.children, self.copies = {}, []
        self.until = time.monotonic() + options.budget if options.budget else None
        self.meter = self.python()
        self.gpu = {"device": options.device, **self.meter.ask(do="describe")}
        try:
            self.environment = self.child_of("ours").ask(do="environment")
        except (ContenderError, OSError) as error:
            remark(f"freqfusion in Node: {error}")
            self.environment = None

    def left(self):
        return float("inf") if self.until is None else self.until - time.monotonic()

    def python(self):
        child = Contender([sys.executable, str(ROOT / "bench" / "cuda_worker.py")])
        child.ask(do="begin", device=self.options.device, small=self.options.small)
        return child

    def child_of(self, contender):
        """A contender's process, started when it is first needed or after it was given up."""
        if contender not in self.children:
            pipe = Path(self.options.dist) / "bench" / "gpu-pipe.js"
            in_node = contender in ("ours", "graph")
            self.children[contender] = Contender([self.options.node, str(pipe)]) if in_node else self.python()
        return self.children[contender]

    def give_up(self, contender):
        """Ends a contender's process: after an error on the GPU nothing in it can be relied on."""
        child = self.children.pop(contender, None)
        if child is not None:
            child.end()

    def prepare(self, case, dtype, contender, files):
        if contender == "compile" and self.left() < COMPILE_SECONDS:
            raise ContenderError(f"compiling may take longer than the {max(0, self.left()):.0f} s that are left")
        child = self.child_of(contender)
        if contender in ("ours", "graph"):
            actual = str(self.folder / "ours.safetensors")
            request = dict(do="prepare", kind=case.kind, case=options_of(case), device=self.options.device)
            work = child.ask(**request, dtype=dtype, contender=contender, file=files["file"], save=actual)
            return {**work, **self.meter.ask(do="difference", actual=actual, expected=files["expected"])}
        request = dict(do="prepare", case=case.name, dtype=dtype, contender=contender, library=self.options.library)
        return child.ask(**request, **files)

    def run_case(self, case, dtype):
        title = f"{case.title}, {case.shape}, {dtype}"
        remark(title)
        files = {name: str(self.folder / f"{name}.safetensors") for name in ("file", "expected")}
        self.meter.ask(do="inputs", case=case.name, dtype=dtype, **files)
        rows, skipped, work = {}, [], {}
        for contender in [each for each in case.contenders if each in self.options.contenders]:
            since = time.monotonic()
            try:
                found = self.prepare(case, dtype, contender, files)
                if not found["difference"] <= TOLERANCES[dtype]:
                    allowed = f"{TOLERANCES[dtype]:.0e} is allowed"
                    raise Disagreement(f"differs from float32 by {found['difference']:.1e}, {allowed}")
                row = {"contender": contender, "label": CUDA_LABELS[contender], "error": found["difference"]}
                if found.get("note"):
                    row["note"] = found["note"]
                row["prepareSeconds"] = round(time.monotonic() - since, 1)
                rows[contender] = row
                work.update({name: found[name] for name in ("flops", "bytes") if name in found})
                remark(f"  {row['label']}: ready after {row['prepareSeconds']} s")
            except (ContenderError, OSError) as error:
                self.skip(contender, error, skipped)
        self.time(rows, skipped)
        for child in self.children.values():
            try:
                child.ask(do="drop")
            except (ContenderError, OSError):
                pass  # a process that has ended holds nothing; it is noticed when it is asked for more
        base = {"case": case.name, "title": case.title, "shape": case.shape, "dtype": dtype}
        return {**base, "flops": 0, "bytes": 0, **work, "rows": list(rows.values()), "skipped": skipped}

    def skip(self, contender, error, skipped):
        skipped.append({"contender": contender, "label": CUDA_LABELS[contender], "reason": str(error)})
        skipped[-1]["disagrees"] = isinstance(error, Disagreement)
        remark(f"  {CUDA_LABELS[contender]}: not timed: {error}")
        if not isinstance(error, Disagreement):
            self.give_up(contender)

    def time(self, rows, skipped):
        """Turns of a few runs each, all contenders in every turn, and a copy before each."""
        times = {name: [] for name in rows}
        for turn in range(self.options.turns):
            self.copies += self.meter.ask(do="copy")["gbs"]
            for name in list(rows):
                try:
                    # The first turn ends with a capture, and with libraries' own trials.
                    warmup = WARMUP if turn else WARMUP + 2
                    request = dict(contender=name, device=self.options.device, runs=RUNS, warmup=warmup)
                    measured = self.child_of(name).ask(do="time", **request)
                    times[name] += measured["ms"]
                    if "extraBytes" in measured:  # what a graph keeps is there before its runs
                        rows[name]["extraBytes"] = max(rows[name].get("extraBytes", 0), measured["extraBytes"])
                except (ContenderError, OSError) as error:
                    rows.pop(name)
                    self.skip(name, error, skipped)
        for name, row in rows.items():
            ms = times[name]
            row["ms"] = {"median": statistics.median(ms), "min": min(ms), "runs": len(ms)}

    def result(self, cases):
        copy = None
        if self.copies:
            copy = {"best": max(self.copies), "median": statistics.median(self.copies)}
        return {"environment": self.environment, "gpu": self.gpu, "copy": copy, "cases": cases}

    def end(self):
        for child in [self.meter, *self.children.values()]:
            child.end()


class Disagreement(ContenderError):
    """A result that is not what it should be: its process is sound."""


def options_of(case):
    if case.kind == "carafe":
        return {"kernelSize": case.kernel_size, "scale": case.scale}
    if case.kind == "segnext":
        return {"head": {"hamKwargs": {"mdR": 16}}}
    return fusion_options(case)


def parse_arguments(words):
    addon = Path(os.environ.get("FREQFUSION_ADDON", ROOT / "build" / "Release" / "freqfusion.node"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N")
    parser.add_argument("--dtype", type=names(TOLERANCES), help="in place of each case's own")
    parser.add_argument("--cases", type=names(CUDA_CASES), help=",".join(CUDA_CASES))
    parser.add_argument("--contenders", type=names(CUDA_LABELS), default=list(CUDA_LABELS), help=",".join(CUDA_LABELS))
    parser.add_argument("--turns", type=int, default=TURNS, help=f"of {RUNS} timed runs of each contender")
    parser.add_argument("--budget", type=float, help="seconds after which no other case begins")
    parser.add_argument("--json", metavar="FILE", help="write the results, after every case")
    parser.add_argument("--save", metavar="BASE", help="write BASE.md and BASE.svg")
    parser.add_argument("--dist", default=str(ROOT / "dist"), help="freqfusion's compiled TypeScript")
    parser.add_argument("--library", default=str(addon.parent / "libfreqfusion_ops.so"), help="freqfusion's operators")
    parser.add_argument("--node", default="node", help="the node to run")
    parser.add_argument("--small", action="store_true", help="maps of a few pixels: a test, no measurement")
    options = parser.parse_args(words)
    options.cases = options.cases or list(SMALL_CASES if options.small else CUDA_CASES)
    # Contenders run in bench/: paths are those of here.
    for name in ("dist", "library"):
        setattr(options, name, str(Path(getattr(options, name)).resolve()))
    return options


def main(words):
    options = parse_arguments(words)
    failed = False
    with tempfile.TemporaryDirectory(prefix="freqfusion-bench-") as folder:
        file = Path(options.json) if options.json else Path(folder) / "result.json"
        try:
            comparison = CudaComparison(options, folder)
        except ContenderError as error:
            remark(f"error: {error}")
            return 1
        cases = []
        # The dtypes of one case follow each other, as its compiled kernels are of one form.
        plan = [(n, d) for n in options.cases for d in options.dtype or comparison.cases[n].dtypes]
        for name, dtype in plan:
            if comparison.left() <= 0:
                remark(f"{name}, {dtype}: not begun, the time is up")
                continue
            try:
                cases.append(comparison.run_case(comparison.cases[name], dtype))
                file.write_text(json.dumps(comparison.result(cases), indent=2) + "\n")
            except Exception as error:  # whatever it is, the other cases are worth having
                remark(f"error: {name}, {dtype}: {type(error).__name__}: {error}")
                failed = True
                comparison.meter.end()
                try:
                    comparison.meter = comparison.python()
                except (ContenderError, OSError) as error:
                    remark(f"error: {error}")
                    break
        comparison.end()
        if not cases:
            return 1
        render = [options.node, str(Path(options.dist) / "bench" / "gpu-render.js"), str(file.resolve())]
        save = ["--save", options.save] if options.save else []
        failed |= subprocess.run([*render, *save]).returncode != 0
    # freqfusion has to be in every case; what another cannot do is written down.
    ours = all(any(row["contender"] == "ours" for row in each["rows"]) for each in cases)
    wrong = any(each["disagrees"] for case in cases for each in case["skipped"])
    return 1 if failed or wrong or ("ours" in options.contenders and not ours) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
