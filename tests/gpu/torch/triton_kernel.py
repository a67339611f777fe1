"""A Triton kernel of our own: compiled on the client, launched here."""

import triton
import triton.language as tl
from common import show, torch


@triton.jit
def softmax_rows(source, target, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    offsets = tl.arange(0, BLOCK)
    values = tl.load(source + row * columns + offsets, mask=offsets < columns, other=-float("inf"))
    values = tl.exp(values - tl.max(values, axis=0))
    tl.store(target + row * columns + offsets, values / tl.sum(values, axis=0), mask=offsets < columns)


@triton.jit
def product(a, b, c, N: tl.constexpr, BLOCK: tl.constexpr):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    sum_ = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for k in range(0, N, BLOCK):
        inner = k + tl.arange(0, BLOCK)
        sum_ += tl.dot(tl.load(a + rows[:, None] * N + inner[None, :]), tl.load(b + inner[:, None] * N + columns[None, :]))
    tl.store(c + rows[:, None] * N + columns[None, :], sum_)


x = torch.randn(257, 1000, device="cuda")
y = torch.empty_like(x)
softmax_rows[(257,)](x, y, 1000, BLOCK=1024)
show("softmax", y)
a = torch.randn(512, 512, device="cuda", dtype=torch.float16)
b = torch.randn(512, 512, device="cuda", dtype=torch.float16)
c = torch.empty(512, 512, device="cuda")
product[(8, 8)](a, b, c, N=512, BLOCK=64)
show("product", c)
