"""A DataLoader with worker processes and pinned memory, and copies that do not block."""

from common import line, show, torch
from torch.utils.data import DataLoader, Dataset


class Squares(Dataset):
    def __len__(self):
        return 256

    def __getitem__(self, index):
        return torch.full((64,), float(index)) ** 2, index


if __name__ == "__main__":
    total = torch.zeros(64, device="cuda", dtype=torch.float64)
    pinned = True
    for values, indices in DataLoader(Squares(), batch_size=32, num_workers=2, pin_memory=True):
        pinned &= values.is_pinned()
        total += values.to("cuda", non_blocking=True).sum(0, dtype=torch.float64)
        total += indices.to("cuda", non_blocking=True).sum()
    line("pinned", pinned)
    show("total", total)
