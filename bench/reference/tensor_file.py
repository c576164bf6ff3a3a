"""safetensors files of PyTorch tensors, read and written with PyTorch and NumPy: a GPU machine has no
package for them."""

import json
from math import prod
from pathlib import Path

import torch

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def load_file(path):
    """The tensors of a file by name, on the CPU."""
    data = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
        if end - begin != prod(shape) * dtype.itemsize or start + end > len(data):
            raise ValueError(f"expected {path} to hold {name} of {entry['dtype']} {shape}, got {end - begin} bytes")
        # A copy: an element may begin anywhere in the file, a tensor's only at a multiple of its size.
        part = data[start + begin : start + end]
        flat = torch.frombuffer(part, dtype=dtype) if part else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(shape)
    return tensors


def save_file(tensors, path):
    """Writes tensors by name, in C order; sorted by the size of their elements, so that all are aligned."""
    header, parts, offset = {}, [], 0
    for name, tensor in sorted(tensors.items(), key=lambda each: (-each[1].element_size(), each[0])):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        part = flat.view(torch.uint8).numpy().tobytes()
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(part)],
        }
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(parts)
