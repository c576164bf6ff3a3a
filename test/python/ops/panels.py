"""The layout in which the fused convolutions take their weights: panels of 16 outputs, the last one filled with zeros."""

import torch
import torch.nn.functional as F

DTYPES = {torch.float32: (1e-4, 2e-5), torch.float64: (1e-10, 1e-10)}


def pack_matrix(weight):
    """[out, in, ...] -> [ceil(out / 16), in * ..., 16]."""
    rows = weight.flatten(1)
    rows = F.pad(rows, (0, 0, 0, -len(rows) % 16))
    return rows.view(-1, 16, rows.shape[1]).transpose(1, 2).contiguous()


def pack_vector(values):
    """[channels] -> [ceil(channels / 16) * 16]."""
    return F.pad(values, (0, -len(values) % 16))


def same_on_one_thread(call):
    """Whether the result is the same to the last bit on one thread."""
    several = call()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    one = call()
    torch.set_num_threads(threads)
    return torch.equal(several, one)
