"""Compares freqfusion with PyTorch eager, torch.compile and ONNX Runtime: one run, the same inputs, the same threads.

    npm run bench:compare                       every case
    npm run bench:compare -- --cases C,D        some
    npm run bench:compare -- --save             write bench/results and the README's table
    npm run bench:compare -- --device cuda      on a GPU: cases and contenders of bench/cuda_cases.py

Each contender is a process of its own. Its results must agree with PyTorch eager's before it is timed; then all of
them run in turn, one run each, so that a busy moment of the machine falls on all alike.
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

import numpy as np
from safetensors.numpy import load_file

import cuda_compare
from cases import CASES, LABELS, ONNX_NEEDS_GB, fusion_options
from processes import ROOT, Contender, ContenderError, names, remark

REST = 0.1  # seconds before each run
# Python's allocator gives large blocks back to the system after every run; the floor keeps them, as freqfusion does.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 40), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


class Comparison:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.node = [options.node, str(Path(options.dist) / "bench" / "pipe.js")]
        self.meter = Contender(self.node)
        self.roofs = {"copy": [], "stream": [], "fma": []}
        self.environment = self.meter.ask(do="environment", threads=options.threads)
        self.threads = options.threads or self.environment["threads"]
        self.environment["threads"] = self.threads
        versions = self.python()
        self.environment.update(versions.ask(do="versions"))
        versions.end()

    def python(self, env=None):
        return Contender([sys.executable, str(ROOT / "bench" / "worker.py")], env)

    def measure_roofs(self):
        for name, samples in self.meter.ask(do="roofs", threads=self.threads).items():
            self.roofs[name] += samples

    def skip_reason(self, case, contender):
        gigabytes = ONNX_NEEDS_GB.get(case.name, 0)
        if contender == "onnxruntime" and self.environment["memoryBytes"] < gigabytes * 2**30 * 0.95:
            return f"needs more than 20 GB of memory: run on machines with {gigabytes} GB"
        return None

    def start(self, case, contender, files):
        """Starts a contender, prepares the case, and runs it once."""
        env = {"FREQFUSION_OPERATORS": self.options.library}
        if contender == "floor":
            env.update(KEEP_MEMORY)
        if contender == "ours":
            child = Contender(self.node)
        else:
            child = self.python(env)
        try:
            request = dict(do="prepare", case=case.name, contender=contender, threads=self.threads, **files)
            if contender == "ours":
                request.update(kind=case.kind, options=fusion_options(case))
            work = child.ask(**request)
            if contender != "floor":
                child.ask(do="save", file=str(self.folder / f"{contender}.safetensors"))
            return child, work
        except ContenderError:
            child.end()
            raise

    def agreement(self, case, contender):
        """Greatest difference from eager over all outputs, as a share of the greatest value; labels and detections by the
        share that differs."""
        expected = load_file(self.folder / "eager.safetensors")
        actual = load_file(self.folder / f"{contender}.safetensors")
        if case.kind == "mask_rcnn":
            return max(unmatched(expected, actual), unmatched(actual, expected))
        worst = 0.0
        for name in case.outputs:
            a, b = expected[name], actual[name]
            if name == "labels":
                worst = max(worst, float(np.mean(a != b)))
            else:
                scale = float(np.abs(a).max())
                worst = max(worst, float(np.abs(a - b).max()) / scale)
        return worst

    def run_case(self, case):
        remark(f"{case.title}, {case.shape}")
        files = {
            "file": str(self.folder / "inputs.safetensors"),
            "checkpoint": str(self.folder / "weights.safetensors"),
            "onnx": str(self.folder / "model.onnx"),
        }
        wanted = [each for each in case.contenders if each in self.options.contenders]
        maker = self.python({"FREQFUSION_OPERATORS": self.options.library})
        maker.ask(do="inputs", case=case.name, **files)
        skipped, children, rows = [], {}, {}
        for contender in ["eager"] + [each for each in wanted if each != "eager"]:
            reason = self.skip_reason(case, contender)
            since = time.monotonic()
            try:
                if reason is not None:
                    raise ContenderError(reason)
                if contender == "onnxruntime":
                    maker.ask(do="export", case=case.name, **files)
                child, work = self.start(case, contender, files)
                children[contender] = child
                row = {"contender": contender, "label": LABELS[contender]}
                row["prepareSeconds"] = round(time.monotonic() - since, 1)
                if contender not in ("eager", "floor"):
                    row["error"] = self.agreement(case, contender)
                    if not row["error"] <= case.tolerance:
                        raise ContenderError(
                            f"differs from eager by {row['error']:.1e} of the greatest value; {case.tolerance:.0e} is allowed"
                        )
                rows[contender] = row
                if contender == "ours":
                    numbers = {name: work[name] for name in ("flops", "bytes")}
                remark(f"  {row['label']}: ready after {row['prepareSeconds']} s")
            except ContenderError as error:
                if contender in children:
                    children.pop(contender).end()
                skipped.append({"contender": contender, "label": LABELS[contender], "reason": str(error)})
                remark(f"  {LABELS[contender]}: not timed: {error}")
                if contender == "eager":
                    break
        maker.end()
        if "ours" not in rows:
            raise ContenderError(f"{case.title}: freqfusion itself cannot be timed")
        times = self.time(children)
        for contender, child in children.items():
            ms = times[contender]
            rows[contender]["ms"] = {"median": statistics.median(ms), "min": min(ms), "runs": len(ms)}
            rows[contender]["peakRss"] = child.ask(do="peak")["bytes"]
            child.end()
        ordered = [rows[each] for each in wanted if each in rows]
        return {
            "case": case.name,
            "title": case.title,
            "shape": case.shape,
            **numbers,
            "rows": ordered,
            "skipped": skipped,
        }

    def time(self, children):
        """Interleaved runs. The slow ones take fewer turns, spread over the same time."""
        options = self.options
        self.measure_roofs()
        first = {name: child.ask(do="run")["ms"] for name, child in children.items()}  # not counted: it warms up
        runs = {
            name: int(min(options.runs, max(options.least, options.seconds * 1000 / max(ms, 0.001))))
            for name, ms in first.items()
        }
        times = {name: [] for name in children}
        rounds = max(runs.values())
        for turn in range(rounds):
            for name, child in children.items():
                if len(times[name]) < runs[name] and turn >= len(times[name]) * rounds / runs[name]:
                    # The threads of the one before spin for a while after their work, on the cores that this one needs.
                    time.sleep(REST)
                    times[name].append(child.ask(do="run")["ms"])
            if turn % 5 == 4:
                self.measure_roofs()
        self.measure_roofs()
        return times

    def result(self, cases):
        roofs = {
            name: {"best": max(samples), "median": statistics.median(samples)}
            for name, samples in self.roofs.items()
        }
        return {"environment": self.environment, "roofs": roofs, "cases": cases}


def unmatched(some, others):
    """Share of the detections of which the others have none alike: of the same label, to half a pixel, a thousandth of
    score and a hundredth of the mask."""
    found = 0
    for box, score, label, area in zip(some["boxes"], some["scores"], some["labels"], some["areas"]):
        alike = (
            (others["labels"] == label)
            & (np.abs(others["boxes"] - box).max(1) < 0.5)
            & (np.abs(others["scores"] - score) < 1e-3)
            & (np.abs(others["areas"] - area) <= 0.01 * area + 5)
        )
        found += bool(alike.any())
    return 1 - found / len(some["scores"]) if len(some["scores"]) > 0 else 1.0


def parse_arguments():
    addon = Path(os.environ.get("FREQFUSION_ADDON", ROOT / "build" / "Release" / "freqfusion.node"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--cases", type=names(CASES), default=list(CASES), help=",".join(CASES))
    parser.add_argument("--contenders", type=names(LABELS), default=list(LABELS), help="beside eager: " + ",".join(LABELS))
    parser.add_argument("--threads", type=int, help="of every contender (default: one per core)")
    parser.add_argument("--runs", type=int, default=15, help="timed runs of each contender at most")
    parser.add_argument("--least", type=int, default=3, help="and at least")
    parser.add_argument("--seconds", type=float, default=8, help="what the runs of one contender may take")
    parser.add_argument("--json", metavar="FILE", help="write the results")
    parser.add_argument("--dist", default=str(ROOT / "dist"), help="freqfusion's compiled TypeScript")
    parser.add_argument("--library", default=str(addon.parent / "libfreqfusion_ops.so"), help="freqfusion's operators")
    parser.add_argument("--node", default="node", help="the node to run")
    options = parser.parse_args()
    options.contenders = ["ours", "eager", *options.contenders]
    return options


def on_gpu(words):
    """--device cuda or cuda:N has a comparison of its own (bench/cuda_compare.py), which takes the other words."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--device", default="cpu")
    return parser.parse_known_args(words)[0].device != "cpu"


def main():
    if on_gpu(sys.argv[1:]):
        return cuda_compare.main(sys.argv[1:])
    options = parse_arguments()
    failed = False
    with tempfile.TemporaryDirectory(prefix="freqfusion-bench-") as folder:
        file = Path(options.json) if options.json else Path(folder) / "result.json"
        comparison = Comparison(options, folder)
        cases = []
        for name in options.cases:
            try:
                cases.append(comparison.run_case(CASES[name]))
                # After every case: a run that is interrupted keeps what it has.
                file.write_text(json.dumps(comparison.result(cases), indent=2) + "\n")
            except ContenderError as error:
                remark(f"error: {error}")
                failed = True
        comparison.meter.end()
        if not cases:
            return 1
        subprocess.run([options.node, str(Path(options.dist) / "bench" / "render.js"), str(file)], check=True)
        disagree = [s for each in cases for s in each["skipped"] if "differs from eager" in s["reason"]]
        return 1 if failed or disagree else 0


if __name__ == "__main__":
    sys.exit(main())
