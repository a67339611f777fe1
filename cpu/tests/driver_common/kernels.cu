// Source of kernels.ptx: nvcc -arch=compute_75 -ptx.
#include <cstdio>
#include <cassert>
__device__ int counter = 7; __constant__ float table[4] = {1, 2, 3, 4};
extern "C" __global__ void scale(float *a, float b, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) a[i] *= b; }
extern "C" __global__ void bump(int *out) { out[0] = atomicAdd(&counter, 1) + (int)table[1]; }
extern "C" __global__ void wild(int *p) { *p = 1; }
extern "C" __global__ void refuse(int x) { assert(x == 1); }
extern "C" __global__ void hello(int x) { printf("kernel says %d from %d\n", x, threadIdx.x); }
extern "C" __global__ void dynamic(int *out, int n) { extern __shared__ int s[]; for (int i = threadIdx.x; i < n; i += blockDim.x) s[i] = i; __syncthreads(); int t = 0; for (int i = threadIdx.x; i < n; i += blockDim.x) t += s[n - 1 - i]; atomicAdd(out, t); }
extern "C" __global__ void spin(volatile int *flag) { while (*flag == 0) ; }
extern "C" __global__ void raise(volatile int *flag) { *flag = 1; }
extern "C" __global__ void __launch_bounds__(64) bounded(int *p) { *p = 64; }
extern "C" __global__ void heap(int **out) { int *p = (int *)malloc(64); p[3] = 42; *out = p; }
extern "C" __global__ void unheap(int **out, int *value) { *value = (*out)[3]; free(*out); }
