"""The layout in which the fused convolutions take their weights: panels of 16 outputs, the last one filled with zeros."""

import torch
import torch.nn.functional as F
from operator_checks import GPU_KERNELS

DTYPES = {torch.float32: (1e-4, 2e-5), torch.float64: (1e-10, 1e-10)}
# What the operators take besides on a GPU; every step of theirs rounds its result.
MAP_DTYPES = {**DTYPES, torch.float16: (1e-2, 1e-2), torch.bfloat16: (6e-2, 6e-2)} if GPU_KERNELS else DTYPES


def pack_matrix(weight):
    """[out, in, ...] -> [ceil(out / 16), in * ..., 16]."""
    rows = weight.flatten(1)
    rows = F.pad(rows, (0, 0, 0, -len(rows) % 16))
    return rows.view(-1, 16, rows.shape[1]).transpose(1, 2).contiguous()


def pack_vector(values):
    """[channels] -> [ceil(channels / 16) * 16]."""
    return F.pad(values, (0, -len(values) % 16))


def same_on_one_thread(call):
    """Whether the result is the same to the last bit on one thread: a promise of the CPU kernels."""
    several = call()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one = call()
    torch.set_num_threads(threads)
    return torch.allclose(several, one, 1e-5, 1e-5) if GPU_KERNELS else torch.equal(several, one)
