"""The processes that take part in a comparison, and what is said of it."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class ContenderError(Exception):
    pass


class Contender:
    """A child process that answers each line of JSON with one."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("FREQFUSION_DEBUG") else None,
            text=True,
            cwd=ROOT / "bench",
            env={**os.environ, **(env or {})},
        )

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if line == "":
            code = self.process.wait()
            raise ContenderError(f"the process ended with {code}" + (": out of memory?" if code == -9 else ""))
        reply = json.loads(line)
        if "error" in reply:
            raise ContenderError(reply["error"])
        return reply

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def names(known):
    """A parser of names among `known`, with commas between them."""

    def parse(text):
        chosen = [each for each in text.split(",") if each]
        if not chosen or any(each not in known for each in chosen):
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {text}")
        return chosen

    return parse


def remark(text):
    print(text, file=sys.stderr, flush=True)


def serve(worker):
    """Answers the requests on standard input by the worker's methods of their names."""
    # Libraries print to standard output as they please: answers go to a copy of it, everything else to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(worker, request["do"])(request)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        print(json.dumps(reply), file=answers, flush=True)
