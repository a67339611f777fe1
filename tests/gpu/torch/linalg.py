"""torch.linalg (cuSOLVER, cuBLAS, MAGMA), torch.sparse (cuSPARSE)."""

from common import line, show, torch

a = torch.randn(128, 128, device="cuda", dtype=torch.float64)
spd = a @ a.T + 128 * torch.eye(128, device="cuda", dtype=torch.float64)
b = torch.randn(128, 7, device="cuda", dtype=torch.float64)
show("solve", torch.linalg.solve(a, b))
show("inv", torch.linalg.inv(a))
show("cholesky", torch.linalg.cholesky(spd))
show("qr", *torch.linalg.qr(a))
show("eigh", torch.linalg.eigh(spd)[0])
show("svd", torch.linalg.svdvals(a))
show("lu", *torch.linalg.lu_factor(a))
show("batched", torch.linalg.solve(torch.randn(9, 16, 16, device="cuda"), torch.randn(9, 16, 2, device="cuda")))
show("det", torch.linalg.det(a / 10))
try:
    torch.linalg.cholesky(-spd)
except torch.linalg.LinAlgError as error:
    line("not positive", str(error).splitlines()[0])
dense = torch.randn(64, 64, device="cuda")
dense[dense.abs() < 1] = 0
csr = dense.to_sparse_csr()
show("csr", csr.values(), csr @ torch.randn(64, 5, device="cuda"))
coo = dense.to_sparse_coo()
show("coo", torch.sparse.mm(coo, torch.randn(64, 5, device="cuda")), (coo + coo).to_dense())
