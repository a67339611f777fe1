"""NVIDIA's cuBLAS on our driver: its creation, warm, takes less than half a second."""

import ctypes
import time

import torch  # brings the library

torch.ones(1, device="cuda")
blas = ctypes.CDLL("libcublas.so.13")
handle = ctypes.c_void_p()
status = blas.cublasCreate_v2(ctypes.byref(handle))
print("create", status, flush=True)
blas.cublasDestroy_v2(handle)
begin = time.perf_counter()
status = blas.cublasCreate_v2(ctypes.byref(handle))
print("warm", status, time.perf_counter() - begin < 0.5)
blas.cublasDestroy_v2(handle)
