"""The built server in a process of its own, and pictures for it."""

import os
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
import zlib
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
NODE = os.environ.get("FREQFUSION_NODE", "node")
CLI = str(ROOT / "dist" / "cli" / "main.js")


def free_ports(count):
    """Ports that are free now, all taken at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def served(*options, limit=60):
    """The addresses of HTTP and gRPC of a server with the bundled models, once it is ready."""
    http, grpc = free_ports(2)
    command = [NODE, CLI, "serve", "--port", str(http), "--grpc-port", str(grpc), "--log-level", "error", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + limit
        while not is_ready(f"http://127.0.0.1:{http}/v2/health/ready"):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not get ready (exit status {process.poll()})")
            time.sleep(0.1)
        yield f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"
    finally:
        process.terminate()
        process.wait(limit)


def is_ready(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def png(pixels):
    """A PNG file of [H, W, 3] bytes."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
