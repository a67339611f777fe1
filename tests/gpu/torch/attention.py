"""scaled_dot_product_attention with every backend, and automatic mixed precision."""

from torch.nn.attention import SDPBackend, sdpa_kernel

from common import line, show, torch

q, k, v = (torch.randn(2, 8, 256, 64, device="cuda", dtype=torch.float16, requires_grad=True) for _ in range(3))
for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION):
    with sdpa_kernel(backend):
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        show(backend.name, out)
out = torch.nn.functional.scaled_dot_product_attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
show("bfloat16", out)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.BatchNorm2d(32), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(10)).cuda()
images = torch.randn(16, 3, 32, 32, device="cuda")
scaler = torch.amp.GradScaler("cuda")
model(images)
optimizer = torch.optim.AdamW(model.parameters())
for step in range(3):
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.float16):
        loss = model(images).float().square().mean()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    line("amp loss", step, loss.item().hex(), scaler.get_scale())
