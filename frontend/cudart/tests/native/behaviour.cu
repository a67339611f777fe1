// Prints what each runtime call returns, and the last error it leaves, for arguments at and beyond the edges.
// Run against NVIDIA's libcudart and against ours over the same driver, the outputs must be equal (no addresses or times are printed).
// `behaviour.cuda12.txt` and `behaviour.cuda13.txt` are what NVIDIA's libraries 12.9 and 13.0 printed on an H100 with driver 580, without the lines that
// describe the device. Calls on which NVIDIA's runtime crashes (a null pointer to write to) are not in here.
#include <cuda_runtime.h>
#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CUresult (*ctxGetCurrent)(CUcontext *);
static int current() { CUcontext c = 0; CUresult r = ctxGetCurrent(&c); return r ? -(int)r : c != 0; }
static void report(const char *what, cudaError_t r) {
    cudaError_t peek = cudaPeekAtLastError(), first = cudaGetLastError(), second = cudaGetLastError();
    printf("%-58s = %d  last %d %d %d\n", what, r, peek, first, second);
}
#define R(call) report(#call, call)
#define BOTH(...) __VA_ARGS__

__global__ void nothing() {}
__global__ void add(int *p, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) p[i] += i; }
__global__ void __launch_bounds__(128) bounded(float a, char b, double c, int *out) { *out = (int)(a + b + c); }
__global__ void spin(long long n, volatile int *sink) { long long t = clock64(); while (clock64() - t < n) { } if (sink) *sink = 1; }
__global__ void bigshared(int *p) { __shared__ int s[4096]; s[threadIdx.x] = 1; __syncthreads(); p[threadIdx.x] = s[(threadIdx.x + 1) & 31]; }
__global__ void fault(int *p) { *p = 1; }
__device__ int symbol[16];
__constant__ float constant[8];
static void CUDART_CB hostfn(void *p) { *(int *)p += 1; }
static void CUDART_CB callback(cudaStream_t, cudaError_t e, void *p) { *(int *)p += 100 + e; }

static void before_init() {
    printf("# which calls initialise\n");
    R(cudaGetLastError()); printf("ctx %d\n", current());
    int v; R(cudaDriverGetVersion(&v)); printf("ctx %d\n", current());
    R(cudaRuntimeGetVersion(&v)); printf("runtime %d\n", v);
    R(cudaGetDeviceCount(&v)); printf("ctx %d\n", current());
    R(cudaGetDevice(&v)); printf("device %d ctx %d\n", v, current());
    unsigned f = 99; R(cudaGetDeviceFlags(&f)); printf("flags %u ctx %d\n", f, current());
    R(cudaDeviceGetAttribute(&v, cudaDevAttrMaxThreadsPerBlock, 0)); printf("ctx %d\n", current());
    cudaDeviceProp p; R(cudaGetDeviceProperties(&p, 0)); printf("ctx %d\n", current());
    R(cudaDeviceCanAccessPeer(&v, 0, 0)); printf("%d ctx %d\n", v, current());
    char id[32]; R(cudaDeviceGetPCIBusId(id, 32, 0)); printf("ctx %d\n", current());
    int b; R(cudaDeviceGetByPCIBusId(&b, id)); printf("%d ctx %d\n", b, current());
    R(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync)); printf("ctx %d\n", current());
    f = 99; R(cudaGetDeviceFlags(&f)); printf("flags %u ctx %d\n", f, current());
    R(cudaChooseDevice(&v, &p)); printf("%d ctx %d\n", v, current());
    dim3 g, bl; size_t s; cudaStream_t st;
    int low, high; R(cudaDeviceGetStreamPriorityRange(&low, &high)); printf("%d %d ctx %d\n", low, high, current());
    size_t lim; R(cudaDeviceGetLimit(&lim, cudaLimitStackSize)); printf("stack %zu ctx %d\n", lim, current());
    R(cudaSetDevice(0)); printf("ctx %d\n", current());
    f = 99; R(cudaGetDeviceFlags(&f)); printf("flags %u\n", f);
    R(cudaSetDeviceFlags(cudaDeviceScheduleAuto)); f = 99; R(cudaGetDeviceFlags(&f)); printf("flags %u\n", f);
    R(cudaSetDeviceFlags(cudaDeviceMapHost)); f = 99; R(cudaGetDeviceFlags(&f)); printf("flags %u\n", f);
    R(cudaSetDeviceFlags(0x1000)); R(cudaSetDeviceFlags(3));
    (void)g; (void)bl; (void)s; (void)st;
}

static void devices() {
    printf("# devices\n");
    int v = -5; R(cudaGetDeviceCount(NULL)); R(cudaGetDevice(NULL)); R(cudaSetDevice(-1)); R(cudaSetDevice(99)); R(cudaGetDevice(&v)); printf("%d\n", v);
    cudaDeviceProp p; R(cudaGetDeviceProperties(NULL, 0)); R(cudaGetDeviceProperties(&p, 99)); R(cudaGetDeviceProperties(&p, -1));
    R(cudaDeviceGetAttribute(NULL, cudaDevAttrWarpSize, 0)); R(cudaDeviceGetAttribute(&v, (cudaDeviceAttr)9999, 0)); R(cudaDeviceGetAttribute(&v, (cudaDeviceAttr)0, 0));
    R(cudaDeviceGetAttribute(&v, cudaDevAttrWarpSize, 99)); R(cudaDeviceGetAttribute(&v, cudaDevAttrWarpSize, -1));
    for (int a = 1; a < 150; a++) { v = -77; cudaError_t e = cudaDeviceGetAttribute(&v, (cudaDeviceAttr)a, 0); printf("attr %d: %d %d\n", a, e, v); cudaGetLastError(); }
    char id[32]; R(cudaDeviceGetPCIBusId(id, 5, 0)); R(cudaDeviceGetPCIBusId(NULL, 32, 0)); R(cudaDeviceGetPCIBusId(id, 32, 99));
    R(cudaDeviceGetByPCIBusId(&v, "9999:99:99.9")); R(cudaDeviceGetByPCIBusId(&v, "nonsense")); R(cudaDeviceGetByPCIBusId(NULL, id));
    R(cudaDeviceCanAccessPeer(&v, 0, 99)); R(cudaDeviceCanAccessPeer(NULL, 0, 0)); R(cudaDeviceEnablePeerAccess(0, 0)); R(cudaDeviceEnablePeerAccess(99, 0)); R(cudaDeviceDisablePeerAccess(0)); R(cudaDeviceEnablePeerAccess(0, 1));
    for (int l = -1; l < 9; l++) { size_t x = 12345; cudaError_t e = cudaDeviceGetLimit(&x, (cudaLimit)l); printf("limit %d: %d %zu\n", l, e, x); cudaGetLastError(); }
    R(cudaDeviceGetLimit(NULL, cudaLimitStackSize)); R(cudaDeviceSetLimit((cudaLimit)99, 1)); R(cudaDeviceSetLimit(cudaLimitStackSize, 2048));
    size_t x; R(cudaDeviceGetLimit(&x, cudaLimitStackSize)); printf("%zu\n", x); R(cudaDeviceSetLimit(cudaLimitPrintfFifoSize, 1 << 20)); R(cudaDeviceGetLimit(&x, cudaLimitPrintfFifoSize)); printf("%zu\n", x);
    cudaFuncCache c = (cudaFuncCache)9; R(cudaDeviceGetCacheConfig(&c)); printf("%d\n", c); R(cudaDeviceGetCacheConfig(NULL)); R(cudaDeviceSetCacheConfig((cudaFuncCache)9)); R(cudaDeviceSetCacheConfig(cudaFuncCachePreferL1)); R(cudaDeviceGetCacheConfig(&c)); printf("%d\n", c);
    cudaSharedMemConfig sc; R(cudaDeviceGetSharedMemConfig(&sc)); printf("%d\n", sc); R(cudaDeviceSetSharedMemConfig(cudaSharedMemBankSizeEightByte)); R(cudaDeviceSetSharedMemConfig((cudaSharedMemConfig)9));
    R(cudaDeviceGetStreamPriorityRange(NULL, NULL)); R(cudaChooseDevice(NULL, &p)); R(cudaSetValidDevices(NULL, 0)); int list[1] = {0}, bad[1] = {9}; R(cudaSetValidDevices(list, 1)); R(cudaSetValidDevices(bad, 1));
    R(cudaDeviceGetP2PAttribute(&v, cudaDevP2PAttrPerformanceRank, 0, 0)); R(cudaDeviceGetP2PAttribute(&v, cudaDevP2PAttrPerformanceRank, 0, 99));
    R(cudaDriverGetVersion(NULL)); R(cudaRuntimeGetVersion(NULL));
    R(cudaInitDevice(0, 0, 0)); R(cudaInitDevice(99, 0, 0)); R(cudaInitDevice(0, 0, 77)); R(cudaDeviceFlushGPUDirectRDMAWrites(cudaFlushGPUDirectRDMAWritesTargetCurrentDevice, cudaFlushGPUDirectRDMAWritesToOwner));
    printf("%s | %s | %s\n", cudaGetErrorName((cudaError_t)12345), cudaGetErrorString((cudaError_t)12345), cudaGetErrorString((cudaError_t)-1));
}

static void attributes(const char *what, const void *p) {
    cudaPointerAttributes a; memset(&a, 0x55, sizeof a);
    cudaError_t e = cudaPointerGetAttributes(&a, p); cudaError_t l = cudaGetLastError();
    if (e) { printf("pointer %s: %d last %d\n", what, e, l); return; }
    printf("pointer %s: %d last %d type %d device %d devicePointer %s hostPointer %s\n", what, e, l, a.type, a.device,
           !a.devicePointer ? "null" : a.devicePointer == p ? "same" : "other", !a.hostPointer ? "null" : a.hostPointer == p ? "same" : "other");
}

static void memory() {
    printf("# memory\n");
    char *d = 0, *d2 = 0, *h = (char *)malloc(1 << 16), *pin = 0, *q; size_t pitch = 0, n; char local[64] = {0};
    R(cudaMalloc((void **)0, 4)); q = (char *)1; R(cudaMalloc(&q, 0)); printf("zero: %s\n", q ? "kept" : "null"); q = (char *)1; R(cudaMalloc(&q, (size_t)1 << 50)); printf("huge: %s\n", q == (char *)1 ? "kept" : q ? "other" : "null");
    R(cudaMalloc(&d, 1 << 16)); R(cudaMalloc(&d2, 1000)); R(cudaFree(0)); R(cudaFree(h)); R(cudaFree(d + 16)); R(cudaFree(d2)); R(cudaFree(d2));
    R(cudaMallocHost((void **)0, 4)); R(cudaMallocHost((void **)&pin, 0)); printf("%s\n", pin ? "some" : "null"); R(cudaMallocHost((void **)&pin, 1 << 16)); R(cudaHostAlloc((void **)&q, 64, 0x100)); R(cudaFreeHost(0)); R(cudaFreeHost(h)); R(cudaFreeHost(d));
    R(cudaMemcpy(d, h, 1 << 16, cudaMemcpyHostToDevice)); R(cudaMemcpy(h, d, 1 << 16, cudaMemcpyDeviceToHost)); R(cudaMemcpy(h, d, 4096, cudaMemcpyDefault)); R(cudaMemcpy(d, d + 4096, 64, cudaMemcpyDeviceToDevice)); R(cudaMemcpy(h, h + 64, 64, cudaMemcpyHostToHost));
    R(cudaMemcpy(h, h + 64, 64, cudaMemcpyDefault)); R(cudaMemcpy(d, h, 64, (cudaMemcpyKind)5)); R(cudaMemcpy(d, h, 64, (cudaMemcpyKind)-1)); R(cudaMemcpy(d, h, 0, (cudaMemcpyKind)9)); R(cudaMemcpy(0, 0, 0, cudaMemcpyHostToDevice));
    R(cudaMemcpy(d, h, 64, cudaMemcpyDeviceToHost)); R(cudaMemcpy(h, d, 64, cudaMemcpyHostToDevice)); R(cudaMemcpy(d, d + 64, 64, cudaMemcpyHostToHost)); R(cudaMemcpy(h, h + 64, 64, cudaMemcpyDeviceToDevice)); R(cudaMemcpy(0, h, 64, cudaMemcpyHostToDevice)); R(cudaMemcpy(d, 0, 64, cudaMemcpyHostToDevice)); R(cudaMemcpy(h, 0, 64, cudaMemcpyDeviceToHost));
    R(cudaMemcpy(d + (1 << 16) - 16, h, 4096, cudaMemcpyHostToDevice)); R(cudaMemcpy(d, pin, 64, cudaMemcpyDeviceToDevice)); R(cudaMemcpy(pin, d, 64, cudaMemcpyDefault));
    R(cudaMemcpyAsync(d, h, 64, cudaMemcpyHostToDevice, 0)); R(cudaMemcpyAsync(d, h, 64, (cudaMemcpyKind)7, 0)); R(cudaMemcpyAsync(h, h + 64, 64, cudaMemcpyHostToHost, 0)); R(cudaMemcpyAsync(0, 0, 0, cudaMemcpyDefault, 0)); R(cudaMemcpyAsync(d, h, 64, cudaMemcpyDeviceToHost, 0)); R(cudaMemcpyAsync(pin, pin + 64, 64, cudaMemcpyHostToHost, 0));
    R(cudaMemset(d, 7, 100)); R(cudaMemset(h, 7, 100)); R(cudaMemset(0, 7, 0)); R(cudaMemset(0, 7, 4)); R(cudaMemset(pin, 7, 4)); R(cudaMemsetAsync(d, 0, 64, 0)); R(cudaMemsetAsync(h, 0, 64, 0));
    R(cudaMemset2D(d, 256, 1, 100, 10)); R(cudaMemset2D(d, 50, 1, 100, 10)); R(cudaMemset2D(d, 256, 1, 0, 0)); R(cudaMemset2D(d, 50, 1, 100, 1)); R(cudaMemset2D(d, 50, 1, 0, 10)); R(cudaMemset2D(h, 256, 1, 100, 10));
    R(cudaMemcpy2D(d, 256, h, 128, 100, 8, cudaMemcpyHostToDevice)); R(cudaMemcpy2D(d, 64, h, 128, 100, 8, cudaMemcpyHostToDevice)); R(cudaMemcpy2D(d, 256, h, 64, 100, 8, cudaMemcpyHostToDevice)); R(cudaMemcpy2D(d, 256, h, 128, 0, 0, cudaMemcpyHostToDevice)); R(cudaMemcpy2D(d, 50, h, 128, 100, 0, cudaMemcpyHostToDevice)); R(cudaMemcpy2D(d, 50, h, 128, 100, 1, cudaMemcpyHostToDevice)); R(cudaMemcpy2D(d, 256, h, 128, 100, 8, (cudaMemcpyKind)8)); R(cudaMemcpy2D(d, 256, h, 128, 100, 8, cudaMemcpyDeviceToHost)); R(cudaMemcpy2D(h, 256, d, 128, 100, 8, cudaMemcpyDefault)); R(cudaMemcpy2D(h, 256, h + 8192, 128, 100, 8, cudaMemcpyHostToHost)); R(cudaMemcpy2D(0, 256, h, 128, 100, 8, cudaMemcpyHostToDevice)); R(cudaMemcpy2D(d, (size_t)1 << 40, h, 128, 100, 8, cudaMemcpyHostToDevice));
    R(cudaMallocPitch((void **)&q, &pitch, 100, 7)); printf("pitch %zu\n", pitch); R(cudaFree(q)); R(cudaMallocPitch((void **)&q, &pitch, 1000, 3)); printf("pitch %zu\n", pitch); R(cudaFree(q)); pitch = 5; R(cudaMallocPitch((void **)&q, &pitch, 0, 3)); printf("pitch %zu %s\n", pitch, q ? "some" : "null"); R(cudaMallocPitch((void **)&q, NULL, 100, 3)); R(cudaMallocPitch((void **)&q, &pitch, 10, 0)); printf("pitch %zu\n", pitch);
    cudaPitchedPtr pp; R(cudaMalloc3D(&pp, make_cudaExtent(100, 5, 3))); printf("%zu %zu %zu\n", pp.pitch, pp.xsize, pp.ysize); R(cudaMemset3D(pp, 3, make_cudaExtent(100, 5, 3))); R(cudaMemset3D(pp, 3, make_cudaExtent(100, 5, 0))); R(cudaMemset3D(pp, 3, make_cudaExtent(10000, 5, 3))); R(cudaMemset3D(pp, 3, make_cudaExtent(100, 50, 3)));
    cudaMemcpy3DParms m = {0}; m.srcPtr = make_cudaPitchedPtr(h, 128, 100, 5); m.dstPtr = pp; m.extent = make_cudaExtent(100, 5, 3); m.kind = cudaMemcpyHostToDevice; R(cudaMemcpy3D(&m)); m.kind = (cudaMemcpyKind)9; R(cudaMemcpy3D(&m)); m.kind = cudaMemcpyDeviceToHost; R(cudaMemcpy3D(&m)); m.kind = cudaMemcpyDefault; R(cudaMemcpy3DAsync(&m, 0)); m.extent = make_cudaExtent(0, 0, 0); R(cudaMemcpy3D(&m)); m.extent = make_cudaExtent(1000, 5, 3); R(cudaMemcpy3D(&m)); R(cudaMemcpy3D(NULL)); m.extent = make_cudaExtent(10, 2, 1); m.dstPos = make_cudaPos(90, 3, 2); m.kind = cudaMemcpyHostToDevice; R(cudaMemcpy3D(&m)); m.dstPos = make_cudaPos(95, 3, 2); R(cudaMemcpy3D(&m));
    R(cudaFree(pp.ptr)); R(cudaMalloc3D(&pp, make_cudaExtent(0, 5, 3))); printf("%s\n", pp.ptr ? "some" : "null");
    R(cudaMemGetInfo(&n, NULL)); R(cudaMemGetInfo(NULL, NULL)); size_t t; R(cudaMemGetInfo(&n, &t)); printf("%d\n", n <= t);
    R(cudaMemcpyToSymbol(symbol, h, 64)); R(cudaMemcpyToSymbol(symbol, h, 65)); R(cudaMemcpyToSymbol(symbol, h, 60, 8)); R(cudaMemcpyToSymbol(local, h, 4)); R(cudaMemcpyFromSymbol(h, symbol, 64)); R(cudaMemcpyFromSymbol(h, constant, 32)); R(cudaMemcpyFromSymbol(h, constant, 33)); R(cudaMemcpyToSymbol(symbol, h, 4, 0, cudaMemcpyDeviceToHost)); R(cudaMemcpyToSymbol(symbol, h, 4, 0, (cudaMemcpyKind)9)); R(cudaMemcpyFromSymbol(h, symbol, 4, 0, cudaMemcpyHostToDevice)); R(cudaMemcpyToSymbol(symbol, d, 4, 0, cudaMemcpyDeviceToDevice)); R(cudaMemcpyToSymbol(symbol, h, 4, 0, cudaMemcpyDefault)); R(cudaMemcpyToSymbolAsync(symbol, h, 4, 0, cudaMemcpyHostToDevice)); R(cudaMemcpyFromSymbolAsync(pin, symbol, 4)); R(cudaMemcpyToSymbol(symbol, h, 0)); R(cudaMemcpyToSymbol(NULL, h, 4));
    void *sp; size_t sz; R(cudaGetSymbolAddress(&sp, symbol)); R(cudaGetSymbolSize(&sz, symbol)); printf("%zu\n", sz); attributes("symbol", sp); R(cudaGetSymbolAddress(&sp, local)); R(cudaGetSymbolSize(&sz, local)); R(cudaGetSymbolAddress(&sp, NULL)); R(cudaGetSymbolAddress(&sp, (const void *)nothing));
    attributes("null", NULL); attributes("host", h); attributes("pinned", pin); attributes("pinned inside", pin + 100); attributes("device", d); attributes("device inside", d + 100); attributes("freed", d2); attributes("bogus", (void *)0x12345); R(cudaPointerGetAttributes(NULL, d));
    char *r = (char *)aligned_alloc(4096, 1 << 16); R(cudaHostRegister(r, 1 << 16, cudaHostRegisterDefault)); R(cudaHostRegister(r, 1 << 16, 0)); R(cudaHostRegister(r + 4096, 64, 0)); attributes("registered", r + 8); unsigned f; R(cudaHostGetFlags(&f, r)); printf("%u\n", f); R(cudaHostGetFlags(&f, pin)); printf("%u\n", f); R(cudaHostGetFlags(&f, h)); R(cudaHostGetFlags(NULL, pin)); R(cudaHostGetDevicePointer((void **)&q, r, 0)); R(cudaHostGetDevicePointer((void **)&q, h, 0)); printf("%s\n", q ? "some" : "null"); R(cudaHostGetDevicePointer((void **)&q, pin, 1)); R(cudaHostGetDevicePointer((void **)0, pin, 0)); R(cudaFreeHost(r)); R(cudaHostUnregister(r + 8)); R(cudaHostUnregister(r)); R(cudaHostUnregister(r)); R(cudaHostUnregister(h)); R(cudaHostRegister(NULL, 64, 0)); R(cudaHostRegister(r, 0, 0)); R(cudaHostRegister(r, 64, 0x1000)); R(cudaHostRegister(r, 64, cudaHostRegisterMapped | cudaHostRegisterPortable)); R(cudaHostUnregister(r));
    R(cudaMemcpyPeer(d, 0, d + 4096, 0, 64)); R(cudaMemcpyPeer(d, 0, d + 4096, 99, 64)); R(cudaMemcpyPeerAsync(d, 0, d + 4096, 0, 64, 0)); R(cudaHostAlloc((void **)&q, 64, cudaHostAllocWriteCombined | cudaHostAllocMapped)); R(cudaHostGetFlags(&f, q)); printf("%u\n", f); R(cudaFreeHost(q)); R(cudaFreeHost(pin + 16)); R(cudaFreeHost(pin)); R(cudaFree(d)); R(cudaDeviceSynchronize());
    free(r); free(h);
}

static void streams() {
    printf("# streams and events\n");
    cudaStream_t s, s2; cudaEvent_t e, e2, e3; unsigned f; int pr; float ms; unsigned long long id;
    R(cudaStreamCreate(NULL)); R(cudaStreamCreate(&s)); R(cudaStreamCreateWithFlags(&s2, 7)); R(cudaStreamCreateWithFlags(&s2, cudaStreamNonBlocking)); R(cudaStreamGetFlags(s2, &f)); printf("%u\n", f); R(cudaStreamGetFlags(0, &f)); printf("%u\n", f); R(cudaStreamGetPriority(0, &pr)); printf("%d\n", pr); R(cudaStreamGetFlags(cudaStreamPerThread, &f)); printf("%u\n", f); R(cudaStreamGetFlags(s, NULL)); R(cudaStreamDestroy(s2)); R(cudaStreamCreateWithPriority(&s2, 0, -100)); R(cudaStreamGetPriority(s2, &pr)); printf("%d\n", pr); R(cudaStreamDestroy(s2)); R(cudaStreamCreateWithPriority(&s2, 0, 100)); R(cudaStreamGetPriority(s2, &pr)); printf("%d\n", pr); R(cudaStreamDestroy(s2));
    R(cudaStreamGetId(s, &id)); R(cudaStreamGetId(s, NULL)); R(cudaStreamDestroy(0)); R(cudaStreamDestroy(cudaStreamLegacy)); R(cudaStreamDestroy(cudaStreamPerThread)); R(cudaStreamQuery(0)); R(cudaStreamQuery(s)); R(cudaStreamSynchronize(0)); R(cudaStreamSynchronize(cudaStreamPerThread)); R(cudaStreamSynchronize(s));
    R(cudaEventCreate(NULL)); R(cudaEventCreate(&e)); R(cudaEventCreateWithFlags(&e2, 0x100)); R(cudaEventCreateWithFlags(&e2, cudaEventInterprocess)); R(cudaEventCreateWithFlags(&e2, cudaEventDisableTiming)); R(cudaEventCreate(&e3)); R(cudaEventQuery(e)); R(cudaEventSynchronize(e)); R(cudaEventElapsedTime(&ms, e, e3)); R(cudaEventRecord(e, s)); R(cudaEventElapsedTime(&ms, e, e3)); R(cudaEventRecord(e2, s)); R(cudaEventRecord(e3, s)); R(cudaStreamSynchronize(s)); R(cudaEventElapsedTime(&ms, e, e2)); R(cudaEventElapsedTime(&ms, e, e3)); printf("%d\n", ms >= 0); R(cudaEventElapsedTime(NULL, e, e3)); R(cudaEventElapsedTime(&ms, 0, e3)); R(cudaEventQuery(0)); R(cudaEventSynchronize(0)); R(cudaEventRecord(0, s)); R(cudaEventDestroy(0)); R(cudaStreamWaitEvent(s, 0, 0)); R(cudaStreamWaitEvent(s, e, 0)); R(cudaStreamWaitEvent(s, e, 9)); R(cudaEventRecordWithFlags(e, s, 9)); R(cudaEventRecordWithFlags(e, s, 0)); R(cudaEventRecordWithFlags(e, s, 1));
    spin<<<1, 1, 0, s>>>(400000000LL, NULL); R(cudaGetLastError()); R(cudaStreamQuery(s)); R(cudaEventRecord(e3, s)); R(cudaEventQuery(e3)); R(cudaEventElapsedTime(&ms, e, e3)); R(cudaStreamQuery(0)); R(cudaStreamQuery(cudaStreamPerThread)); R(cudaStreamSynchronize(s)); R(cudaEventQuery(e3));
    int count = 0; R(cudaLaunchHostFunc(s, hostfn, &count)); R(cudaStreamAddCallback(s, callback, &count, 0)); R(cudaStreamSynchronize(s)); printf("%d\n", count); R(cudaLaunchHostFunc(s, NULL, &count)); R(cudaStreamAddCallback(s, NULL, &count, 0)); R(cudaStreamAddCallback(s, callback, &count, 5)); R(cudaLaunchHostFunc(0, hostfn, &count)); R(cudaDeviceSynchronize()); printf("%d\n", count);
    R(cudaEventDestroy(e)); R(cudaEventDestroy(e2)); R(cudaEventDestroy(e3)); R(cudaStreamDestroy(s));
}

#define L(...) do { __VA_ARGS__; report(#__VA_ARGS__, cudaSuccess); } while (0)
static void launches() {
    printf("# launches\n");
    int *d; cudaMalloc(&d, 1 << 16); int host[64]; char local[8]; int n = 100; void *args[] = {&d, &n};
    L(nothing<<<1, 1>>>()); L(nothing<<<0, 1>>>()); L(nothing<<<1, 0>>>()); L(nothing<<<1, 1024>>>()); L(nothing<<<1, 1025>>>()); L(nothing<<<BOTH(dim3(1, 65536), 1)>>>()); L(nothing<<<BOTH(dim3(1, 65535), 1)>>>()); L(nothing<<<BOTH(1, dim3(1, 1, 65))>>>()); L(nothing<<<BOTH(dim3(0x80000000u), 1)>>>()); L(nothing<<<1, 32, 48 * 1024>>>()); L(nothing<<<1, 32, 48 * 1024 + 1>>>()); L(nothing<<<1, 32, 300 * 1024>>>()); L(bigshared<<<1, 32, 40 * 1024>>>(d)); L(bounded<<<1, 256>>>(1, 2, 3, d)); L(bounded<<<1, 128>>>(1, 2, 3, d)); L(add<<<4, 32>>>(d, 100));
    R(cudaLaunchKernel((void *)add, 1, 32, args, 0, 0)); R(cudaLaunchKernel((void *)add, 0, 32, args, 0, 0)); R(cudaLaunchKernel((void *)add, 1, 2048, args, 0, 0)); R(cudaLaunchKernel((void *)add, 1, 32, args, 64 * 1024, 0)); R(cudaLaunchKernel((void *)local, 1, 32, args, 0, 0)); R(cudaLaunchKernel((void *)NULL, 1, 32, args, 0, 0)); R(cudaLaunchKernel((void *)symbol, 1, 32, args, 0, 0)); R(cudaLaunchCooperativeKernel((void *)add, 1, 32, args, 0, 0)); R(cudaLaunchCooperativeKernel((void *)add, 1000000, 32, args, 0, 0)); R(cudaLaunchCooperativeKernel((void *)add, 0, 32, args, 0, 0)); R(cudaLaunchCooperativeKernel((void *)local, 1, 32, args, 0, 0));
    cudaLaunchConfig_t c = {}; c.gridDim = 1; c.blockDim = 32; R(cudaLaunchKernelExC(&c, (void *)add, args)); c.blockDim = 4096; R(cudaLaunchKernelExC(&c, (void *)add, args)); c.blockDim = 32; R(cudaLaunchKernelExC(&c, (void *)local, args)); cudaLaunchAttribute at[1]; at[0].id = cudaLaunchAttributeCooperative; at[0].val.cooperative = 1; c.attrs = at; c.numAttrs = 1; R(cudaLaunchKernelExC(&c, (void *)add, args)); at[0].id = (cudaLaunchAttributeID)99; R(cudaLaunchKernelExC(&c, (void *)add, args));
    cudaFuncAttributes a; memset(&a, 0x77, sizeof a); R(cudaFuncGetAttributes(&a, (void *)bounded)); printf("%zu %zu %zu %d %d %d %d %d %d %d %d %d %d %d %d %d\n", a.sharedSizeBytes, a.constSizeBytes, a.localSizeBytes, a.maxThreadsPerBlock, a.numRegs, a.ptxVersion, a.binaryVersion, a.cacheModeCA, a.maxDynamicSharedSizeBytes, a.preferredShmemCarveout, a.clusterDimMustBeSet, a.requiredClusterWidth, a.requiredClusterHeight, a.requiredClusterDepth, a.clusterSchedulingPolicyPreference, a.nonPortableClusterSizeAllowed); for (size_t i = offsetof(cudaFuncAttributes, nonPortableClusterSizeAllowed) + 4; i < sizeof a; i++) printf("%02x", ((unsigned char *)&a)[i]); printf(" size %zu\n", sizeof a);
    R(cudaFuncGetAttributes(&a, (void *)bigshared)); printf("%zu %d\n", a.sharedSizeBytes, a.maxDynamicSharedSizeBytes); R(cudaFuncGetAttributes(NULL, (void *)add)); R(cudaFuncGetAttributes(&a, (void *)local)); R(cudaFuncGetAttributes(&a, (void *)NULL));
    R(cudaFuncSetAttribute((void *)add, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 * 1024)); L(add<<<1, 32, 64 * 1024>>>(d, 3)); R(cudaFuncSetAttribute((void *)add, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 20)); R(cudaFuncSetAttribute((void *)add, cudaFuncAttributeMaxDynamicSharedMemorySize, -1)); R(cudaFuncSetAttribute((void *)add, (cudaFuncAttribute)3, 1)); R(cudaFuncSetAttribute((void *)add, cudaFuncAttributePreferredSharedMemoryCarveout, 50)); R(cudaFuncSetAttribute((void *)add, cudaFuncAttributePreferredSharedMemoryCarveout, 101)); R(cudaFuncSetAttribute((void *)add, cudaFuncAttributeNonPortableClusterSizeAllowed, 1)); R(cudaFuncSetAttribute((void *)local, cudaFuncAttributeMaxDynamicSharedMemorySize, 1)); R(cudaFuncSetCacheConfig((void *)add, cudaFuncCachePreferShared)); R(cudaFuncSetCacheConfig((void *)add, (cudaFuncCache)9)); R(cudaFuncSetCacheConfig((void *)local, cudaFuncCachePreferShared)); R(cudaFuncSetSharedMemConfig((void *)add, cudaSharedMemBankSizeEightByte));
    int blocks, grid, block; size_t sm; R(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (void *)add, 128, 0)); printf("%d\n", blocks); R(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (void *)add, 0, 0)); R(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (void *)add, 2048, 0)); printf("%d\n", blocks); R(cudaOccupancyMaxActiveBlocksPerMultiprocessor(NULL, (void *)add, 128, 0)); R(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (void *)local, 128, 0)); R(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, (void *)bigshared, 128, 1 << 20)); printf("%d\n", blocks); R(cudaOccupancyMaxPotentialBlockSize(&grid, &block, add, 0, 0)); printf("%d %d\n", grid, block); R(cudaOccupancyAvailableDynamicSMemPerBlock(&sm, (void *)add, 2, 128)); printf("%zu\n", sm); R(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&blocks, (void *)add, 128, 0, 9));
    const char *name; R(cudaFuncGetName(&name, (void *)add)); printf("%s\n", name); size_t off, size; for (int i = 0; i < 5; i++) { off = size = 0; R(cudaFuncGetParamInfo((void *)bounded, i, &off, &size)); printf("%zu %zu\n", off, size); } cudaFunction_t fn; R(cudaGetFuncBySymbol(&fn, (void *)add)); R(cudaGetFuncBySymbol(&fn, (void *)local)); R(cudaFuncGetName(&name, (void *)local)); cudaKernel_t k; R(cudaGetKernel(&k, (void *)add)); R(cudaLaunchKernel((void *)k, 1, 32, args, 0, 0)); R(cudaFuncGetAttributes(&a, (void *)k)); R(cudaGetKernel(&k, (void *)local));
    R(cudaDeviceSynchronize()); R(cudaMemcpy(host, d, 256, cudaMemcpyDeviceToHost)); printf("%d\n", host[5]);
    void *fp = 0; cudaDriverEntryPointQueryResult q;
#if CUDART_VERSION >= 13000
    R(cudaGetDriverEntryPointByVersion("cuMemAlloc", &fp, 12000, cudaEnableDefault, &q)); printf("%d %d\n", fp != 0, q); R(cudaGetDriverEntryPointByVersion("cuNothing", &fp, 12000, cudaEnableDefault, &q)); printf("%d %d\n", fp != 0, q); R(cudaGetDriverEntryPointByVersion("cuNothing", &fp, 12000, cudaEnableDefault, NULL)); R(cudaGetDriverEntryPointByVersion("cuMemAlloc", &fp, 12000, 77, &q)); R(cudaGetDriverEntryPointByVersion("cuLibraryLoadData", &fp, 11000, cudaEnableDefault, &q)); printf("%d %d\n", fp != 0, q);
#else
    R(cudaGetDriverEntryPoint("cuMemAlloc", &fp, cudaEnableDefault, &q)); printf("%d %d\n", fp != 0, q); R(cudaGetDriverEntryPoint("cuNothing", &fp, cudaEnableDefault, &q)); printf("%d %d\n", fp != 0, q);
#endif
    cudaFree(d);
}

static void graphs() {
    printf("# capture and graphs\n");
    cudaStream_t s; cudaStreamCreate(&s); cudaGraph_t g = 0; cudaGraphExec_t x = 0; int *d, *p; cudaMalloc(&d, 4096); cudaStreamCaptureStatus st; size_t n; cudaEvent_t e; cudaEventCreate(&e);
    R(cudaStreamBeginCapture(0, cudaStreamCaptureModeGlobal)); R(cudaStreamEndCapture(s, &g)); R(cudaStreamBeginCapture(s, (cudaStreamCaptureMode)9)); R(cudaStreamIsCapturing(s, &st)); printf("%d\n", st); R(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal)); R(cudaStreamIsCapturing(s, &st)); printf("%d\n", st); L(add<<<1, 32, 0, s>>>(d, 32)); R(cudaMemsetAsync(d, 0, 64, s)); R(cudaMalloc(&p, 64)); R(cudaStreamIsCapturing(s, &st)); printf("%d\n", st); R(cudaStreamIsCapturing(0, &st)); R(cudaStreamEndCapture(s, &g)); R(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed)); L(add<<<1, 32, 0, s>>>(d, 32)); L(add<<<1, 32, 0, s>>>(d, 32)); R(cudaMemsetAsync(d, 0, 64, s)); R(cudaMalloc(&p, 64)); R(cudaFree(p)); R(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed)); R(cudaStreamEndCapture(s, &g)); R(cudaGraphGetNodes(g, NULL, &n)); printf("%zu\n", n); R(cudaGraphInstantiateWithFlags(&x, g, 0)); R(cudaGraphLaunch(x, s)); R(cudaStreamSynchronize(s)); R(cudaGraphUpload(x, s)); R(cudaGraphExecDestroy(x)); R(cudaGraphDestroy(g)); R(cudaGraphInstantiateWithFlags(&x, 0, 0)); R(cudaGraphLaunch(0, s)); R(cudaGraphDestroy(0)); R(cudaGraphExecDestroy(0)); R(cudaGraphCreate(&g, 0)); R(cudaGraphCreate(&g, 7)); R(cudaGraphCreate(NULL, 0));
    R(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed)); R(cudaStreamSynchronize(s)); R(cudaStreamEndCapture(s, &g)); R(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed)); R(cudaStreamQuery(s)); R(cudaStreamEndCapture(s, &g)); R(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed)); R(cudaEventRecord(e, s)); R(cudaEventQuery(e)); R(cudaStreamEndCapture(s, &g)); R(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal)); L(nothing<<<1, 1>>>()); R(cudaStreamEndCapture(s, &g)); R(cudaEventQuery(e)); cudaStreamCaptureMode m = cudaStreamCaptureModeRelaxed; R(cudaThreadExchangeStreamCaptureMode(&m)); printf("%d\n", m); m = cudaStreamCaptureModeGlobal; R(cudaThreadExchangeStreamCaptureMode(&m));
    R(cudaStreamDestroy(s)); R(cudaEventDestroy(e)); R(cudaFree(d));
}

static void sticky() {
    printf("# a fault and after\n");
    int *d; cudaMalloc(&d, 64); cudaStream_t s; cudaStreamCreate(&s); int host[4];
    L(nothing<<<0, 1>>>()); nothing<<<0, 1>>>(); R(cudaMalloc(&d, 64)); nothing<<<0, 1>>>(); nothing<<<1, 1>>>(); report("success after failure", cudaSuccess);
    fault<<<1, 1>>>((int *)0x10); R(cudaGetLastError()); usleep(200000); R(cudaGetLastError()); R(cudaPeekAtLastError()); R(cudaDeviceSynchronize()); R(cudaDeviceSynchronize()); R(cudaGetLastError()); R(cudaMalloc(&d, 64)); R(cudaFree(0)); R(cudaFree(d)); R(cudaMemcpy(host, d, 8, cudaMemcpyDeviceToHost)); R(cudaStreamQuery(s)); R(cudaStreamDestroy(s)); R(cudaStreamCreate(&s)); int v; R(cudaGetDevice(&v)); R(cudaSetDevice(0)); R(cudaGetDeviceCount(&v)); R(cudaDeviceGetAttribute(&v, cudaDevAttrWarpSize, 0)); cudaDeviceProp p; R(cudaGetDeviceProperties(&p, 0)); L(nothing<<<1, 1>>>()); L(nothing<<<0, 1>>>()); R(cudaMalloc((void **)0, 64)); R(cudaSetDevice(99)); cudaFuncAttributes a; R(cudaFuncGetAttributes(&a, (void *)add)); R(cudaMallocHost((void **)&d, 64)); R(cudaDriverGetVersion(&v)); R(cudaStreamSynchronize(0));
    R(cudaDeviceReset()); R(cudaGetLastError()); R(cudaMalloc(&d, 64)); L(nothing<<<1, 1>>>()); R(cudaDeviceSynchronize());
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);

    void *driver = dlopen(getenv("PROBE_DRIVER") ? getenv("PROBE_DRIVER") : "libcuda.so.1", RTLD_NOW);
    if (!driver) { printf("no driver: %s\n", dlerror()); return 2; }
    ctxGetCurrent = (CUresult(*)(CUcontext *))dlsym(driver, "cuCtxGetCurrent");
    before_init(); devices(); memory(); streams(); launches(); graphs(); R(cudaDeviceReset()); printf("ctx %d\n", current()); launches(); sticky();
    printf("# device properties\n");
    cudaDeviceProp p; memset(&p, 0x5a, sizeof p); R(cudaGetDeviceProperties(&p, 0));
    for (size_t i = 0; i < sizeof p; i++) printf("%02x%s", ((unsigned char *)&p)[i], i % 32 == 31 ? "\n" : " ");
    printf("\n# errors\n");
    for (int i = 0; i < 1001; i++) if (strcmp(cudaGetErrorName((cudaError_t)i), "unrecognized error code")) printf("%d %s: %s\n", i, cudaGetErrorName((cudaError_t)i), cudaGetErrorString((cudaError_t)i));
}
