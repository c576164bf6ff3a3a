"""A contender of bench/cuda_compare.py in a process of its own. Lines of JSON in, lines of JSON out."""

import gc
import subprocess
import sys

import torch

import cuda_contenders as contenders
from cuda_cases import CUDA_CASES, SMALL_CASES
from processes import serve
from reference.tensor_file import load_file, save_file


class CudaWorker:
    def __init__(self):
        torch.set_grad_enabled(False)
        # float32 is float32, as in freqfusion: TF32 has 10 bits of mantissa.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        self.device = self.timer = self.run = None

    def begin(self, request):
        """The device, and which set of cases: before everything else."""
        self.device = request["device"]
        if self.device != "cpu":
            torch.cuda.set_device(self.device)
        self.cases = SMALL_CASES if request["small"] else CUDA_CASES
        self.timer = contenders.Timer(self.device)
        return {}

    def describe(self, request):
        found = {"python": sys.version.split()[0], "torch": torch.__version__, "cuda": torch.version.cuda or "none"}
        found["cudnn"] = torch.backends.cudnn.version() or 0
        if self.device == "cpu":
            return {**found, "gpu": "none", "memoryBytes": 0, "driver": "none"}
        properties = torch.cuda.get_device_properties(self.device)
        return {**found, "gpu": properties.name, "memoryBytes": properties.total_memory, "driver": driver()}

    def inputs(self, request):
        """Writes inputs and weights, and what is expected of them."""
        case, dtype = self.cases[request["case"]], getattr(torch, request["dtype"])
        contenders.make_inputs(case, dtype, request["file"])
        save_file(contenders.expected_outputs(case, request["file"], self.device), request["expected"])
        return {}

    def copy(self, request):
        return {"gbs": self.timer.copy_bandwidth()}

    def prepare(self, request):
        case, dtype = self.cases[request["case"]], getattr(torch, request["dtype"])
        self.drop(request)
        self.run, note = contenders.runner_of(
            case, request["contender"], request["file"], dtype, self.device, self.timer, request["library"]
        )
        difference = contenders.greatest_difference(self.run(), load_file(request["expected"]))
        return {"difference": difference, "note": note}

    def difference(self, request):
        """Of outputs that another process has saved."""
        actual, expected = load_file(request["actual"]), load_file(request["expected"])
        return {"difference": contenders.greatest_difference(actual, expected)}

    def time(self, request):
        times = self.timer.milliseconds(self.run, request["runs"], request["warmup"])
        return {"ms": times, "extraBytes": self.timer.extra_bytes(self.run)}

    def drop(self, request):
        """Gives back the memory of the case before."""
        self.run = None
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()
        return {}


def driver():
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        words = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout
        return words.split("\n")[0].strip() or "unknown"
    except (OSError, subprocess.SubprocessError):
        return "unknown"


if __name__ == "__main__":
    serve(CudaWorker())
