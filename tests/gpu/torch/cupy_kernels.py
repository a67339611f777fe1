"""CuPy: NVRTC on the client, cuModuleLoadData, cuLaunchKernel; cuBLAS, cuFFT, cuRAND, memory pools."""

import hashlib

import cupy as cp
import numpy as np


def show(name, array):
    print(name, array.shape, hashlib.sha256(cp.asnumpy(array).tobytes()).hexdigest()[:16], flush=True)


x = cp.arange(100000, dtype=cp.float32)
show("elementwise", cp.sqrt(x) * 2 + 1)
kernel = cp.RawKernel(r'''
extern "C" __global__ void saxpy(float a, const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i];
}''', "saxpy")
y = cp.ones(100000, dtype=cp.float32)
kernel((391,), (256,), (np.float32(3), x, y, np.int32(100000)))
show("raw", y)
show("reduction", x.sum().reshape(1))
show("matmul", cp.arange(10000, dtype=cp.float64).reshape(100, 100) @ cp.eye(100))
show("fft", cp.fft.fft(cp.arange(1000, dtype=cp.complex64)))
cp.random.seed(3)
show("random", cp.random.random(1000))
show("sort", cp.sort(cp.random.random(5000)))
stream = cp.cuda.Stream(non_blocking=True)
with stream:
    z = cp.exp(x / 1e5)
stream.synchronize()
show("stream", z)
