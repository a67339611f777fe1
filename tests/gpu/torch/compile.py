"""torch.compile: Inductor's kernels, forward and backward, and its CUDA graphs."""

from common import line, show, torch


def block(x, w):
    return torch.nn.functional.gelu(x @ w).softmax(-1) * torch.sigmoid(x).mean(-1, keepdim=True)


x = torch.randn(256, 256, device="cuda", requires_grad=True)
w = torch.randn(256, 256, device="cuda", requires_grad=True)
compiled = torch.compile(block)
out = compiled(x, w)
out.sum().backward()
show("default", out, x.grad, w.grad)
model = torch.nn.Sequential(torch.nn.Linear(128, 128), torch.nn.GELU(), torch.nn.Linear(128, 16)).cuda()
fast = torch.compile(model, mode="reduce-overhead")
with torch.no_grad():
    for i in range(4):
        show(f"reduce-overhead {i}", fast(torch.randn(32, 128, device="cuda")).clone())
line("done")
