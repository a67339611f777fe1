"""Workloads of torch_bench.py: `torch_workload.py NAME COUNT` runs one and prints what it computed, and how long a step took.

`torch_workload.py` alone serves whoever holds its standard input: for each line `NAME COUNT` it does the same, and models stay as they are from one line to the next.
"""

import sys
import time

import torch


def timed(count, step, warm=3):
    """What the last step gave, and seconds per step."""
    for _ in range(warm):
        step()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(count):
        result = step()
    torch.cuda.synchronize()
    return result, (time.perf_counter() - begin) / count


# Each makes what a workload works on and returns the function that runs it: of a number of steps, to what it computed and the seconds of a step.


def train():
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

    def run(count):
        loss, seconds = timed(count, step)
        return float(loss).hex(), seconds

    return run


def infer():
    import torchvision

    model = torchvision.models.resnet50().cuda().eval()
    image = torch.randn(1, 3, 224, 224, device="cuda")

    def run(count):
        with torch.no_grad():
            return timed(count, lambda: model(image).argmax().item(), 10)

    return run


def generate():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config()).cuda().eval()
    ids = torch.randint(0, 50000, (1, 32), device="cuda")
    arguments = {"attention_mask": torch.ones_like(ids), "do_sample": False, "pad_token_id": 0}

    def run(count):
        with torch.no_grad():
            model.generate(ids, max_new_tokens=8, **arguments)
            out, seconds = timed(1, lambda: model.generate(ids, max_new_tokens=count, min_new_tokens=count, **arguments), 1)
        return int(out.sum()), seconds / count

    return run


def replay():
    a = torch.randn(1024, 1024, device="cuda")
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        b = a
        for _ in range(50):
            b = torch.relu(b) + 1

    def run(count):
        _, seconds = timed(count, graph.replay)
        return float(b.double().sum()).hex(), seconds

    return run


def matmul():
    a = torch.randn(1024, 1024, device="cuda")

    def run(count):
        product, seconds = timed(count, lambda: a @ a)
        return float(product.double().sum()).hex(), seconds

    return run


def copies():
    host = torch.randn(64, 1024, 1024)
    device, pinned = host.cuda(), host.pin_memory()
    back = torch.empty_like(host)
    pinned_back = torch.empty_like(pinned, pin_memory=True)
    size = host.numel() * 4 / 1e9
    each = [("H2D pageable", lambda: device.copy_(host)), ("H2D pinned", lambda: device.copy_(pinned, non_blocking=True)),
            ("D2H pageable", lambda: back.copy_(device)), ("D2H pinned", lambda: pinned_back.copy_(device, non_blocking=True))]

    def run(count):
        total = 0
        for name, step in each:
            _, seconds = timed(count, step, 1)
            total += seconds
            print("rate", name, size / seconds)
        return "%s %s" % (torch.equal(back, host), torch.equal(pinned_back, host)), total

    return run


WORKLOADS = {"train": train, "infer": infer, "generate": generate, "replay": replay, "matmul": matmul, "copies": copies}
MADE = {}


def run(name, count):
    if name not in MADE:
        # The same numbers whatever ran before.
        torch.manual_seed(0)
        MADE[name] = WORKLOADS[name]()
    result, seconds = MADE[name](count)
    print("result", result)
    print("seconds", seconds, flush=True)


torch.backends.cudnn.benchmark = False
if len(sys.argv) > 1:
    run(sys.argv[1], int(sys.argv[2]))
else:
    for line in sys.stdin:
        name, count = line.split()
        run(name, int(count))
