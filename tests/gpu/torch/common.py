"""What the PyTorch programs share: settings that make PyTorch deterministic, and lines that two runs can be compared by.

`show(name, tensor)` prints a hash of the bytes, so that equal lines mean equal bits.
"""

import hashlib
import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch

torch.manual_seed(0)
torch.backends.cudnn.deterministic = True
torch.backends.cudnn.benchmark = False
torch.use_deterministic_algorithms(True, warn_only=True)


def digest(tensor):
    data = tensor.detach().cpu().contiguous()
    if data.is_sparse or data.is_sparse_csr:
        data = data.to_dense()
    return hashlib.sha256(data.view(torch.uint8).numpy().tobytes() if data.dim() else data.reshape(1).view(torch.uint8).numpy().tobytes()).hexdigest()[:16]


def show(name, *tensors):
    print(name, *(f"{tuple(t.shape)}:{digest(t)}" for t in tensors), flush=True)


def line(name, *values):
    print(name, *values, flush=True)
