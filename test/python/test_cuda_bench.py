"""What the comparison on a GPU does beside its GPU: python test_cuda_bench.py LIBRARY [GOLDENS]

Its operators agree with the unfolded ones, files come back as they were written, and a whole run on the CPU, at sizes of
a few pixels and with a Node that is made up, writes down what agrees, what does not, and what ends.
"""

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent / "ops"), str(ROOT / "bench")]

import cuda_contenders  # noqa: E402
from cuda_cases import CUDA_CASES, CUDA_LABELS, SMALL_CASES, TOLERANCES  # noqa: E402
from golden import Tally  # noqa: E402
from reference import four_launches, library, unfold  # noqa: E402
from reference.tensor_file import load_file, save_file  # noqa: E402
from reference.torch_best import Shifted, Windows  # noqa: E402

# Answers in place of freqfusion in Node: right for carafe, wrong for FreqFusion, and it dies of SegNeXt.
FAKE_NODE = """#!{python}
import json, os, sys
sys.path.insert(0, {bench!r})
if sys.argv[1].endswith("gpu-render.js"):
    sys.exit(0)
import torch
from reference import unfold
from reference.tensor_file import load_file, save_file
for line in sys.stdin:
    request, reply = json.loads(line), {{}}
    if request["do"] == "environment":
        reply = {{"date": "2030-01-02"}}
    elif request["do"] == "prepare" and request["kind"] == "segnext":
        os._exit(9)
    elif request["do"] == "prepare":
        stored, options = load_file(request["file"]), request["case"]
        if request["kind"] == "carafe":
            given = stored["features"].float(), stored["masks"].float()
            outputs = {{"output": unfold.carafe(*given, options["kernelSize"], options["scale"])}}
        else:
            hr = stored["hrFeat"].float()
            outputs = {{"hrFeat": 2 * hr, "lrFeat": hr, "maskLr": torch.ones(1, 25, *hr.shape[2:])}}
        save_file(outputs, request["save"])
        reply = {{"flops": 10, "bytes": 20}}
    elif request["do"] == "time":
        reply = {{"ms": [1.0] * request["runs"], "extraBytes": 7}}
    print(json.dumps(reply), flush=True)
"""


def test_files(tally, folder):
    given = {
        "map": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "half": torch.randn(5).half(),
        "brain": torch.randn(3, 1).bfloat16(),
        "bytes": torch.arange(3, dtype=torch.uint8),
        "none": torch.empty(0, 3),
        "part": torch.randn(8)[3:5],
        "one": torch.tensor(3.5, dtype=torch.float64),
    }
    file = folder / "x.safetensors"
    save_file(given, file)
    found = load_file(file)
    tally.check(set(found) == set(given), f"names {sorted(found)}")
    for name, value in given.items():
        same = found[name].dtype == value.dtype and torch.equal(found[name], value)
        tally.check(same, f"{name}: expected {value}, got {found[name]}")
    data = bytearray(file.read_bytes())
    file.write_bytes(data[:-1])
    try:
        load_file(file)
        tally.check(False, "a file that is cut short was read")
    except ValueError:
        tally.check(True, "")
    tally.group("safetensors by PyTorch alone")


def test_operators(tally):
    for memory_format in (torch.contiguous_format, torch.channels_last):
        make = lambda *shape: torch.randn(shape, dtype=torch.float64).contiguous(memory_format=memory_format)  # noqa: B023, E731
        x = make(2, 6, 7, 9)
        for k, scale, border in ((5, 2, "zeros"), (3, 1, "reflect"), (3, 2, "zeros"), (5, 1, "reflect")):
            masks = make(2, k * k, 7 * scale, 9 * scale).softmax(1)
            for operators in (Shifted(), Windows(), four_launches):
                what = f"{operators} k={k} scale={scale} {border} {memory_format}"
                want = unfold.carafe(x, masks, k, scale, border)
                tally.close(operators.carafe(x, masks, k, scale, border), want, 1e-9, 1e-12, f"carafe {what}")
                if scale == 1:
                    want = unfold.high_pass(x, masks, k, border)
                    tally.close(operators.high_pass(x, masks, k, border), want, 1e-9, 1e-12, f"high_pass {what}")
        want = unfold.local_similarity(x)
        tally.close(Shifted().local_similarity(x), want, 1e-9, 1e-12, f"local_similarity {memory_format}")
    for operators in (unfold, Shifted()):
        found = operators.local_similarity(torch.randn(1, 8, 5, 6).half())
        tally.check(bool(found.isfinite().all()), f"float16 zeros around a map: {operators}")
    one = torch.randn(1, 1, 4, 4)
    tally.check(four_launches.transposed(one).data_ptr() != one.data_ptr(), "a map of one channel is copied, too")
    tally.group("CARAFE in four launches, and of PyTorch's own operators")


def test_difference(tally):
    wanted = {"a": torch.tensor([3.0, 4.0]), "b": torch.ones(4)}
    found = cuda_contenders.greatest_difference({"a": torch.tensor([3.0, 4.5]), "b": torch.ones(4)}, wanted)
    tally.check(abs(found - 0.1) < 1e-6, f"expected 0.1, got {found}")
    for broken in (torch.tensor([3.0, float("nan")]), torch.tensor([3.0, float("inf")])):
        found = cuda_contenders.greatest_difference({"a": broken, "b": torch.ones(4)}, wanted)
        tally.check(not found <= 1, f"{broken} passes: {found}")
    try:
        cuda_contenders.greatest_difference({"a": torch.ones(1), "b": torch.ones(4)}, wanted)
        tally.check(False, "an output of another shape passes")
    except ValueError:
        tally.check(True, "")
    tally.group("agreement")


def test_cases(tally):
    for cases in (CUDA_CASES, SMALL_CASES):
        for case in cases.values():
            tally.check(set(case.contenders) <= set(CUDA_LABELS), case.name)
            tally.check(set(case.dtypes) <= set(TOLERANCES), case.name)
    kinds = {case.kind for case in CUDA_CASES.values()}
    tally.check(kinds == {case.kind for case in SMALL_CASES.values()}, f"{kinds}")
    tally.group("cases")


def compare(folder, library_file, *words):
    node = folder / "node"
    node.write_text(FAKE_NODE.format(python=sys.executable, bench=str(ROOT / "bench")))
    node.chmod(node.stat().st_mode | stat.S_IXUSR)
    result = folder / "result.json"
    command = [sys.executable, str(ROOT / "bench" / "cuda_compare.py"), "--device", "cpu", "--small", "--turns", "2"]
    command += ["--node", str(node), "--library", library_file, "--json", str(result), *words]
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    return ended, json.loads(result.read_text()) if result.exists() else None


def test_run(tally, folder, library_file):
    ended, result = compare(folder, library_file, "--contenders", "ours,graph,eager,four,best,library")
    tally.check(ended.returncode == 1, f"a wrong result ends with {ended.returncode}: {ended.stderr}")
    tally.check(result is not None, f"no result was written: {ended.stderr}")
    if result is None:
        return
    tally.check("KeyError" not in ended.stderr and "Traceback" not in ended.stderr, ended.stderr)
    tally.check(result["copy"]["best"] >= result["copy"]["median"] > 0, f"{result['copy']}")
    found = {(case["case"], case["dtype"]): case for case in result["cases"]}
    plan = {(name, dtype) for name, case in SMALL_CASES.items() for dtype in case.dtypes}
    tally.check(set(found) == plan, f"expected {plan}, got {set(found)}")
    for (name, dtype), case in found.items():
        rows, skipped = ({each["contender"]: each for each in case[part]} for part in ("rows", "skipped"))
        others = {"eager", "four", "best", "library"}
        what = f"{name} {dtype}: {sorted(rows)}, {case['skipped']}"
        tally.check(others <= set(rows), what)
        tally.check(all(row["ms"]["runs"] == 10 and row["error"] <= TOLERANCES[dtype] for row in rows.values()), what)
        tally.check("note" in rows["best"], what)
        if name.startswith("carafe"):
            tally.check(rows["ours"]["extraBytes"] == 7 and case["bytes"] == 20 and not skipped, what)
        elif name == "segnext":
            tally.check("the process ended with 9" in skipped["ours"]["reason"] and case["bytes"] == 0, what)
        else:
            tally.check(skipped["ours"]["disagrees"] and "differs from float32" in skipped["ours"]["reason"], what)
    tally.group("a run on the CPU: what agrees is timed, what does not or ends is written down")


def test_budget(tally, folder, library_file):
    (folder / "result.json").unlink(missing_ok=True)
    words = ("--cases", "carafe-k3", "--contenders", "ours,compile", "--budget", "40", "--dtype", "float32")
    ended, result = compare(folder, library_file, *words)
    tally.check(ended.returncode == 0, f"status {ended.returncode}: {ended.stderr}")
    [case] = result["cases"] if result else [{"rows": [], "skipped": []}]
    tally.check([each["contender"] for each in case["rows"]] == ["ours"], f"{case}")
    tally.check(["compiling may take longer" in each["reason"] for each in case["skipped"]] == [True], f"{case}")
    ended, _ = compare(folder, library_file, *words[:4], "--budget", "0.001")
    tally.check(ended.returncode == 1 and "not begun, the time is up" in ended.stderr, ended.stderr)
    tally.group("a budget of time")


def main():
    library_file = str(Path(sys.argv[1]).resolve())
    library.load(library_file)
    tally = Tally()
    test_operators(tally)
    test_difference(tally)
    test_cases(tally)
    with tempfile.TemporaryDirectory() as folder:
        test_files(tally, Path(folder))
        test_run(tally, Path(folder), library_file)
        test_budget(tally, Path(folder), library_file)
    tally.finish()


main()
