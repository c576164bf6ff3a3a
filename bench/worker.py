"""One contender in a process of its own, so that its peak memory is its own. Lines of JSON in, lines of JSON out."""

import os
import resource
import sys
import time

from cases import CASES
import contenders
from processes import serve


class Worker:
    def __init__(self):
        self.runner = None

    def versions(self, request):
        import onnxruntime
        import torch

        return {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
        }

    def inputs(self, request):
        contenders.make_inputs(CASES[request["case"]], request["file"], request["checkpoint"])
        return {}

    def export(self, request):
        case = CASES[request["case"]]
        contenders.export_onnx(case, request["file"], request["checkpoint"], request["onnx"])
        return {}

    def prepare(self, request):
        case, threads = CASES[request["case"]], request["threads"]
        if request["contender"] == "onnxruntime":
            self.runner = contenders.onnx_runner(case, request["file"], request["onnx"], threads)
        else:
            self.runner = contenders.torch_runner(
                case, request["contender"], request["file"], request["checkpoint"], threads
            )
        return {}

    def run(self, request):
        since = time.perf_counter()
        outputs = self.runner()
        taken = time.perf_counter() - since
        del outputs
        return {"ms": 1000 * taken}

    def save(self, request):
        contenders.save_outputs(self.runner(), request["file"])
        return {}

    def peak(self, request):
        # Linux's ru_maxrss begins with what the parent had when it started this process; VmHWM begins at nothing.
        try:
            lines = open("/proc/self/status").read().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        except (OSError, StopIteration):
            kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"bytes": kilobytes * 1024}


if __name__ == "__main__":
    serve(Worker())
