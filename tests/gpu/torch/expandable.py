"""PyTorch over other allocators: expandable segments (virtual memory management), cudaMallocAsync."""

import os
import subprocess
import sys

PROGRAM = """
import sys; sys.path.insert(0, {here!r})
from common import show, line, torch
kept = [torch.randn(1 << (10 + i), device="cuda") for i in range(14)]
del kept[::2]
torch.cuda.empty_cache()
show("left", *kept)
line("allocated", torch.cuda.memory_allocated())
model = torch.nn.Linear(300, 300).cuda()
show("linear", model(torch.randn(64, 300, device="cuda")))
"""

here = os.path.dirname(os.path.abspath(__file__))
for setting in ("expandable_segments:True", "backend:cudaMallocAsync"):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(here=here)], env={**os.environ, "PYTORCH_CUDA_ALLOC_CONF": setting}, capture_output=True, text=True)
    print(setting, done.returncode)
    print(done.stdout, end="", flush=True)
    sys.stderr.write(done.stderr)
