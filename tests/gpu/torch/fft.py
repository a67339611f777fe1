"""torch.fft: sizes with and without a kernel of their own, one to three dimensions."""

from common import show, torch

for n in (8, 64, 100, 128, 243, 1000, 1021, 4096, 65536, 99991):
    x = torch.randn(4, n, device="cuda")
    show(f"rfft {n}", torch.fft.rfft(x).view(torch.complex64).real, torch.fft.irfft(torch.fft.rfft(x), n))
    show(f"fft {n}", torch.view_as_real(torch.fft.fft(x.to(torch.complex64))))
x = torch.randn(2, 64, 48, device="cuda", dtype=torch.float64)
show("fft2 double", torch.view_as_real(torch.fft.fft2(x)))
x = torch.randn(16, 32, 24, device="cuda")
show("fftn", torch.view_as_real(torch.fft.fftn(x)), torch.fft.ifftn(torch.fft.fftn(x)).real)
show("half", torch.view_as_real(torch.fft.fft(torch.randn(4, 256, device="cuda", dtype=torch.float16))))
