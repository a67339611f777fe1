"""One deterministic ResNet-50 training step, and an inference."""

import torchvision
from common import line, show, torch

model = torchvision.models.resnet50().cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
images = torch.randn(16, 3, 224, 224, device="cuda")
labels = torch.randint(0, 1000, (16,), device="cuda")
for step in range(2):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    line("loss", step, loss.item().hex())
show("weights", model.fc.weight, model.conv1.weight)
model.eval()
with torch.no_grad():
    show("inference", model(images[:1]))
