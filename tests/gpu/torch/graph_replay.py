"""CUDA graphs: capture, replay, new inputs, a private pool, a training step as a graph."""

from common import line, show, torch

a = torch.randn(512, 512, device="cuda")
side = torch.cuda.Stream()
side.wait_stream(torch.cuda.current_stream())
with torch.cuda.stream(side):
    warm = torch.relu(a @ a) + 1
torch.cuda.current_stream().wait_stream(side)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    b = a
    for _ in range(20):
        b = torch.relu(b @ a) * 0.01 + 1
graph.replay()
show("first", b)
a.copy_(torch.randn(512, 512))
graph.replay()
graph.replay()
torch.cuda.synchronize()
show("second", b)
model = torch.nn.Sequential(torch.nn.Linear(512, 256), torch.nn.ReLU(), torch.nn.Linear(256, 8)).cuda()
graphed = torch.cuda.make_graphed_callables(model, (torch.randn(64, 512, device="cuda"),))
optimizer = torch.optim.Adam(model.parameters(), capturable=True)
for step in range(3):
    optimizer.zero_grad(set_to_none=True)
    loss = graphed(torch.randn(64, 512, device="cuda")).square().mean()
    loss.backward()
    optimizer.step()
    line("loss", step, loss.item().hex())
