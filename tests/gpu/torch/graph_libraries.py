"""CUDA graphs of what compute libraries do: convolution, normalization, matrix products, transforms, attention, and a training step with mixed precision."""

from torch.nn.attention import SDPBackend, sdpa_kernel

from common import line, show, torch

x, w = torch.randn(2, 8, 16, 16, device="cuda"), torch.randn(8, 8, 3, 3, device="cuda")
a = torch.randn(64, 64, device="cuda")
q = torch.randn(2, 4, 128, 64, device="cuda", dtype=torch.float16)
linear, norm = torch.nn.Linear(64, 64).cuda().half(), torch.nn.BatchNorm2d(8).cuda()


def captured(step):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step()
    return graph, out


def libraries():
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        attention = torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
    spectrum = torch.view_as_real(torch.fft.fft(torch.view_as_complex(a.view(64, 32, 2))))
    return norm(torch.nn.functional.conv2d(x, w)), torch.mm(a, a), torch.bmm(a[None], a[None]), linear(a.half()), spectrum, attention


with torch.no_grad():
    graph, out = captured(libraries)
for tensor in (x, a, q):
    tensor.mul_(0.5)
graph.replay()
graph.replay()
torch.cuda.synchronize()
show("libraries", *out)

model = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 14 * 14, 10)).cuda()


def train():
    with torch.autocast("cuda", dtype=torch.float16, cache_enabled=False):
        loss = model(x).float().square().mean()
    loss.backward()
    return loss


graph, loss = captured(train)
for step in range(2):
    graph.replay()
    line("loss", step, loss.item().hex())
show("gradients", *(parameter.grad for parameter in model.parameters()))
