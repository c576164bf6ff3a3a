"""Unpacks what is needed of libtorch from a torch wheel, checking each file against the wheel's RECORD.

Usage: python3 unpack.py WHEEL FOLDER. Prints one line of JSON: {"libraries": {name: bytes}, "files": count} or
{"error": kind, "detail": words}. zipfile checks the archive's own CRCs as it reads.
"""

import base64
import csv
import errno
import hashlib
import io
import json
import os
import re
import sys
import zipfile
import zlib

# Nothing of the Python binding is wanted, and none of the test and packaging helpers.
UNWANTED = re.compile(r"lib(torch_python|torch_global_deps|shm|aoti|backend_with_compiler|jitbackend|torchbind|torch\.)")
LIBRARY = re.compile(r"\.(so|dylib)(\.[\d.]+)?$")


class Refused(Exception):
    def __init__(self, kind, detail):
        super().__init__(detail)
        self.kind = kind


def wanted(name):
    folder, _, base = name.rpartition("/")
    if name.startswith("torch/include/"):
        return True
    # Some wheels keep the libraries of others beside torch/, and find them there relative to torch/lib.
    return folder in ("torch/lib", "torch.libs") and LIBRARY.search(base) and not UNWANTED.match(base)


def read_record(archive):
    names = [name for name in archive.namelist() if re.fullmatch(r"torch-[^/]*\.dist-info/RECORD", name)]
    if len(names) != 1:
        raise Refused("checksum", "expected one RECORD in the wheel, got %d" % len(names))
    rows = csv.reader(io.StringIO(archive.read(names[0]).decode("utf-8")))
    return {row[0]: row[1] for row in rows if len(row) == 3}


def unpack_one(archive, name, expected, folder):
    if not expected.startswith("sha256="):
        raise Refused("checksum", "%s has no sha256 in RECORD" % name)
    if ".." in name.split("/") or name.startswith("/"):
        raise Refused("checksum", "%r leaves the folder it is unpacked to" % name)
    target = os.path.join(folder, *name.split("/"))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(name) as source, open(target, "wb") as file:
        while True:
            block = source.read(1 << 20)
            if not block:
                break
            digest.update(block)
            file.write(block)
    actual = "sha256=" + base64.urlsafe_b64encode(digest.digest()).decode("ascii").rstrip("=")
    if actual != expected:
        raise Refused("checksum", "expected %s for %s, got %s" % (expected, name, actual))
    return os.path.getsize(target)


def unpack(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if wanted(name)]
        cuda = [name for name in names if re.match(r"torch/lib/libtorch_(cuda|hip|xpu)", name)]
        if cuda:
            raise Refused("accelerator", "%s holds %s" % (os.path.basename(wheel), cuda[0]))
        record = read_record(archive)
        libraries = {}
        for name in names:
            size = unpack_one(archive, name, record.get(name, ""), folder)
            if not name.startswith("torch/include/"):
                libraries[name] = size
    return {"libraries": libraries, "files": len(names)}


def main(wheel, folder):
    try:
        return unpack(wheel, folder)
    except Refused as refused:
        return {"error": refused.kind, "detail": str(refused)}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return {"error": "checksum", "detail": "%s: %s" % (os.path.basename(wheel), error)}
    except OSError as error:
        kind = "space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "io"
        return {"error": kind, "detail": str(error)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))
