"""Initialization, copies in every direction, a matrix product, events and streams."""

from common import line, show, torch

torch.cuda.init()
line("device", torch.cuda.get_device_name(), torch.cuda.get_device_capability(), torch.cuda.device_count())
a = torch.randn(1024, 1024, device="cuda")
show("randn", a)
show("matmul", a @ a)
host = torch.randn(3, 1 << 20)
show("pageable", host.cuda().cpu())
pinned = host.pin_memory()
device = pinned.to("cuda", non_blocking=True)
back = torch.empty_like(pinned, pin_memory=True)
back.copy_(device, non_blocking=True)
torch.cuda.synchronize()
show("pinned", back)
show("strided", device.t().contiguous(), device[:, ::3].contiguous())
streams = [torch.cuda.Stream() for _ in range(4)]
parts = []
for i, stream in enumerate(streams):
    with torch.cuda.stream(stream):
        parts.append(torch.sin(device * i).sum(dtype=torch.float64))
        event = stream.record_event()
    torch.cuda.current_stream().wait_event(event)
show("streams", torch.stack(parts))
start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
start.record()
b = a @ a
end.record()
end.synchronize()
line("elapsed", start.elapsed_time(end) > 0, start.query(), torch.cuda.current_stream().query())
free, total = torch.cuda.mem_get_info()
line("memory", total, 0 < free < total)
