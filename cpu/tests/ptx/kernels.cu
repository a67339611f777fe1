// Kernels for the tests of the PTX engine. `kernels.ptx` is made from this file:
//   nvcc -arch=compute_80 -ptx kernels.cu
#include <cassert>
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cstdio>
#include <cuda_fp16.h>
#include <cuda_bf16.h>

namespace cg = cooperative_groups;

__constant__ int coefficients[8] = {3, 1, 4, 1, 5, 9, 2, 6};
__device__ int counter = 7;
__device__ const char *words[3] = {"zero", "one", "two"};

extern "C" __global__ void matrixProduct(float *c, const float *a, const float *b, int n)
{
    __shared__ float as[16][16], bs[16][16];
    int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
    float sum = 0;
    for (int tile = 0; tile < n; tile += 16) {
        as[threadIdx.y][threadIdx.x] = a[row * n + tile + threadIdx.x];
        bs[threadIdx.y][threadIdx.x] = b[(tile + threadIdx.y) * n + column];
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 16; ++k)
            sum += as[threadIdx.y][k] * bs[k][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}

template <class T> __device__ T blockSum(T value)
{
    extern __shared__ char raw[];
    T *partial = reinterpret_cast<T *>(raw);
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_down_sync(0xffffffff, value, offset);
    if (threadIdx.x % 32 == 0)
        partial[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x < 32) {
        value = threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : T(0);
        for (int offset = 16; offset > 0; offset /= 2)
            value += __shfl_down_sync(0xffffffff, value, offset);
    }
    return value;
}

extern "C" __global__ void sumDouble(double *out, const double *in, int n)
{
    double sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += in[i];
    sum = blockSum(sum);
    if (threadIdx.x == 0)
        atomicAdd(out, sum);
}

extern "C" __global__ void histogram(unsigned *bins, const unsigned char *data, int n)
{
    __shared__ unsigned local[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        local[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&local[data[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        atomicAdd(&bins[i], local[i]);
}

// Lanes leave the loop one after the other, then work together again.
extern "C" __global__ void collatz(int *steps, int *together, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned long long value = i + 1;
    int count = 0;
    if (i < n) {
        while (value != 1) {
            if (value & 1)
                value = 3 * value + 1;
            else
                value /= 2;
            if (++count > 1000)
                break;
        }
        steps[i] = count;
    }
    together[i] = __popc(__activemask());
}

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

extern "C" __global__ void recursion(int *out)
{
    int i = threadIdx.x;
    out[i] = fibonacci(i % 12);
}

typedef int (*Operation)(int, int);
__device__ __noinline__ int plus(int a, int b) { return a + b; }
__device__ __noinline__ int times(int a, int b) { return a * b; }
__device__ __noinline__ int minus(int a, int b) { return a - b; }
__device__ Operation table[3] = {plus, times, minus};

extern "C" __global__ void functionPointers(int *out)
{
    int i = threadIdx.x;
    out[i] = table[i % 3](i, coefficients[i % 8]) + counter;
}

struct Record {
    int id;
    double weight;
    float parts[3];
    char tag;
};
__device__ __noinline__ Record change(Record r, int by)
{
    r.id += by;
    r.weight *= 2;
    r.parts[by % 3] = by;
    return r;
}

extern "C" __global__ void structures(Record *out, Record in)
{
    int i = threadIdx.x;
    out[i] = change(in, i);
}

extern "C" __global__ void speak(int n)
{
    int i = threadIdx.x;
    if (i < n)
        printf("[%d] %5.2f|%s|%c|%08x|%lld|%-6d|%%|%e|%u|%p\n", i, i * 0.5, words[i % 3], 'a' + i, 48879 + i, 1234567890123LL * i, i, 12345.678, 4000000000u,
               (void *)0x1234);
    if (i == 0)
        printf("plain\n");
}

extern "C" __global__ void check(int limit)
{
    assert(threadIdx.x < limit);
}

extern "C" __global__ void gridBarrier(int *data, int rounds)
{
    cg::grid_group grid = cg::this_grid();
    int i = grid.thread_rank(), n = grid.size();
    for (int r = 0; r < rounds; ++r) {
        int next = data[(i + 1) % n];
        grid.sync();
        data[i] = next + 1;
        grid.sync();
    }
}

extern "C" __global__ void tiles(int *out)
{
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<8> tile = cg::tiled_partition<8>(block);
    int sum = cg::reduce(tile, (int)threadIdx.x, cg::plus<int>());
    int most = cg::reduce(cg::tiled_partition<32>(block), (int)(threadIdx.x * 7 % 64), cg::greater<int>());
    int even = 0;
    if (threadIdx.x % 2 == 0) {
        cg::coalesced_group group = cg::coalesced_threads();
        even = group.size() * 100 + group.thread_rank();
    }
    out[threadIdx.x] = sum + 1000 * even + 1000000 * (most % 100);
}

// A lock that the lanes of a warp take one after the other.
__device__ int lock;
extern "C" __global__ void spinLock(int *value)
{
    bool done = false;
    while (!done) {
        if (atomicCAS(&lock, 0, 1) == 0) {
            __threadfence();
            *(volatile int *)value = *(volatile int *)value + 1;
            __threadfence();
            atomicExch(&lock, 0);
            done = true;
        }
    }
}

// One lane waits for another of its warp.
extern "C" __global__ void handshake(volatile int *flag, int *out)
{
    if (threadIdx.x == 0) {
        while (*flag == 0)
            ;
        out[0] = 1;
    } else if (threadIdx.x == 31) {
        *flag = 1;
        out[1] = 1;
    }
}

// Blocks wait for blocks that begin later.
extern "C" __global__ void chain(volatile int *flags, int n)
{
    if (threadIdx.x == 0) {
        if ((int)blockIdx.x < n - 1)
            while (flags[blockIdx.x + 1] == 0)
                ;
        __threadfence();
        flags[blockIdx.x] = 1;
    }
}

extern "C" __global__ void halves(__half2 *h, __nv_bfloat162 *b, float *out)
{
    int i = threadIdx.x;
    __half2 x = __floats2half2_rn(i * 0.25f, -i), y = __hfma2(x, x, x);
    h[i] = __hadd2(y, h2exp2(__float2half2_rn(-2.0f)));
    __nv_bfloat162 p = __floats2bfloat162_rn(i * 0.1f, i);
    b[i] = __hmul2(p, p);
    out[i] = __half2float(__low2half(h[i])) + __bfloat162float(__high2bfloat16(b[i]));
}

extern "C" __global__ void heap(int **keep, int *out)
{
    int *mine = (int *)malloc(64);
    for (int k = 0; k < 16; ++k)
        mine[k] = threadIdx.x * k;
    keep[threadIdx.x] = mine;
    __syncthreads();
    int *other = keep[(threadIdx.x + 1) % blockDim.x];
    int sum = 0;
    for (int k = 0; k < 16; ++k)
        sum += other[k];
    out[threadIdx.x] = sum;
    __syncthreads();
    free(mine);
}

extern "C" __global__ void endless(volatile int *stop)
{
    while (*stop == 0)
        ;
}

extern "C" __global__ void outOfBounds(int *data, long long offset) { data[offset + threadIdx.x] = 1; }

extern "C" __global__ void localArray(int *out, int n)
{
    int scratch[40];
    for (int k = 0; k < 40; ++k)
        scratch[k] = k * threadIdx.x;
    int sum = 0;
    for (int k = 0; k < n; ++k)
        sum += scratch[(k * 7 + threadIdx.x) % 40];
    out[threadIdx.x] = sum;
}

extern "C" __global__ void choose(int *out)
{
    int i = threadIdx.x, r;
    switch (i % 9) {
    case 0: r = i * 3; break;
    case 1: r = i + 100; break;
    case 2: r = i ^ 0x55; break;
    case 3: r = -i; break;
    case 4: r = i * i; break;
    case 5: r = i << 3; break;
    case 6: r = 77 - i; break;
    case 7: r = i % 5; break;
    default: r = ~i; break;
    }
    out[i] = r;
}

extern "C" __global__ void mathematics(double *d, float *f)
{
    int i = threadIdx.x;
    double x = 0.1 * i + 0.01;
    d[i] = sin(x) + exp(-x) + log(x) + pow(x, 1.5) + cbrt(x) + erf(x) + tgamma(x + 1);
    float y = 0.1f * i + 0.01f;
    f[i] = sinf(y) + expf(-y) + logf(y) + powf(y, 1.5f) + rsqrtf(y) + fmodf(y, 0.3f) + __sinf(y);
}

extern "C" __global__ void votes(unsigned *out)
{
    int i = threadIdx.x;
    unsigned odd = __ballot_sync(0xffffffff, i & 1);
    unsigned all = __all_sync(0xffffffff, i < 100), any = __any_sync(0xffffffff, i == 5);
    unsigned match = __match_any_sync(0xffffffff, i % 5);
    int both;
    unsigned same = __match_all_sync(0xffffffff, 3, &both);
    unsigned sum = __reduce_add_sync(0xffffffff, i);
    int n = __syncthreads_count(i % 3 == 0), o = __syncthreads_or(i == 9), a = __syncthreads_and(i < 1000);
    out[i] = odd ^ match ^ (same + both) ^ (sum * 3) ^ (all * 5 + any * 7) ^ (n * 11 + (o != 0) * 13 + (a != 0) * 17);
}
