"""Out of memory and recovery; allocators."""

import os

import torch
from common import line, show

total = torch.cuda.mem_get_info()[1]
try:
    torch.empty(total * 2, dtype=torch.uint8, device="cuda")
    line("no error")
except torch.OutOfMemoryError:
    line("out of memory")
a = torch.ones(1 << 20, device="cuda")
show("recovered", a + a)
held = []
try:
    for _ in range(1000):
        held.append(torch.empty(total // 8, dtype=torch.uint8, device="cuda"))
    line("no error")
except torch.OutOfMemoryError:
    line("filled", len(held) >= 4)
held.clear()
torch.cuda.empty_cache()
show("again", torch.ones(1 << 26, device="cuda").sum().reshape(1))
try:
    torch.zeros(3, device="cuda")[torch.tensor([5], device="cuda")].cpu()
    line("no error")
except (RuntimeError, IndexError) as error:
    line("device assert", type(error).__name__, "device-side assert" in str(error))
try:
    torch.ones(1, device="cuda").cpu()
    line("no error")
except RuntimeError as error:
    line("sticky", "device-side assert" in str(error))
