"""Workloads of torch_bench.py: `torch_workload.py NAME COUNT` runs one and prints what it computed, and how long COUNT steps took."""

import sys
import time

import torch


def steps(count, step, warm=3):
    for _ in range(warm):
        step()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(count):
        result = step()
    torch.cuda.synchronize()
    print("seconds", (time.perf_counter() - begin) / count, flush=True)
    return result


def train(count):
    import torchvision

    model = torchvision.models.resnet50().cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images, labels = torch.randn(32, 3, 224, 224, device="cuda"), torch.randint(0, 1000, (32,), device="cuda")

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    print("result", float(steps(count, step)).hex())


def infer(count):
    import torchvision

    model = torchvision.models.resnet50().cuda().eval()
    image = torch.randn(1, 3, 224, 224, device="cuda")
    with torch.no_grad():
        print("result", steps(count, lambda: model(image).argmax().item(), 10))


def generate(count):
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config()).cuda().eval()
    ids = torch.randint(0, 50000, (1, 32), device="cuda")
    arguments = {"attention_mask": torch.ones_like(ids), "do_sample": False, "pad_token_id": 0}
    with torch.no_grad():
        model.generate(ids, max_new_tokens=8, **arguments)
        model.generate(ids, max_new_tokens=count, min_new_tokens=count, **arguments)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        out = model.generate(ids, max_new_tokens=count, min_new_tokens=count, **arguments)
        torch.cuda.synchronize()
        print("seconds", (time.perf_counter() - begin) / count)
    print("result", int(out.sum()))


def replay(count):
    a = torch.randn(1024, 1024, device="cuda")
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        b = a
        for _ in range(50):
            b = torch.relu(b) + 1
    steps(count, graph.replay)
    print("result", float(b.double().sum()).hex())


def matmul(count):
    a = torch.randn(1024, 1024, device="cuda")
    print("result", float(steps(count, lambda: a @ a).double().sum()).hex())


def copies(count):
    host = torch.randn(64, 1024, 1024)
    device, pinned = host.cuda(), host.pin_memory()
    back = torch.empty_like(host)
    pinned_back = torch.empty_like(pinned, pin_memory=True)
    size = host.numel() * 4 / 1e9
    for name, step in [("H2D pageable", lambda: device.copy_(host)), ("H2D pinned", lambda: device.copy_(pinned, non_blocking=True)),
                       ("D2H pageable", lambda: back.copy_(device)), ("D2H pinned", lambda: pinned_back.copy_(device, non_blocking=True))]:
        step()
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        print("rate", name, size * count / (time.perf_counter() - begin))
    print("result", bool(torch.equal(back, host)), bool(torch.equal(pinned_back, host)))


torch.manual_seed(0)
torch.backends.cudnn.benchmark = False
{"train": train, "infer": infer, "generate": generate, "replay": replay, "matmul": matmul, "copies": copies}[sys.argv[1]](int(sys.argv[2]))
