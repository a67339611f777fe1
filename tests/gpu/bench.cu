// What single calls cost the program, and how fast bytes move. Prints one `name value` line per figure; bench.py runs it natively and through us by turns.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <cuda_runtime.h>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        cudaError_t check_error = (call);                                                          \
        if (check_error != cudaSuccess) {                                                          \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #call, cudaGetErrorName(check_error));  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

__global__ void nothing(int *p, int a, float b) {
    if (a == -1)
        *p = int(b);
}

static double now() {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The median of `rounds` measurements, in nanoseconds per operation.
template <typename Before, typename F> static void measure(const char *name, int rounds, int operations, Before before, F f) {
    std::vector<double> times;
    for (int r = 0; r < rounds; ++r) {
        before();
        double start = now();
        f();
        times.push_back((now() - start) / operations);
    }
    std::sort(times.begin(), times.end());
    printf("%s %.1f\n", name, times[times.size() / 2]);
    fflush(stdout);
}

static void bandwidth(const char *name, void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    std::vector<double> rates;
    for (int r = 0; r < 4; ++r) {
        CHECK(cudaDeviceSynchronize());
        double start = now();
        CHECK(cudaMemcpyAsync(to, from, bytes, kind, 0));
        CHECK(cudaStreamSynchronize(0));
        rates.push_back(bytes / (now() - start));
    }
    std::sort(rates.begin(), rates.end());
    printf("%s %.3f\n", name, rates[rates.size() / 2]);
    fflush(stdout);
}

int main(int argc, char **argv) {
    const size_t large = size_t(argc > 1 ? atol(argv[1]) : 128) << 20;
    auto drain = [] { CHECK(cudaDeviceSynchronize()); };
    int *d;
    char *device, *pinned;
    double began = now();
    CHECK(cudaMalloc(&d, 1024));
    printf("first_call_ns %.0f\n", now() - began);
    CHECK(cudaMalloc(&device, large));
    CHECK(cudaMallocHost(&pinned, large));
    std::vector<char> pageable(large, 1);
    memset(pinned, 2, large);
    cudaStream_t stream;
    cudaEvent_t event;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    auto launch = [&] { nothing<<<1, 32>>>(d, 0, 1.0f); };
    launch();
    drain();

    measure("launch_burst_500_ns", 100, 500, drain, [&] {
        for (int i = 0; i < 500; ++i)
            launch();
    });
    measure("launch_burst_20_ns", 200, 20, drain, [&] {
        for (int i = 0; i < 20; ++i)
            launch();
    });
    measure("launch_single_ns", 500, 1, drain, launch);
    measure("launch_and_sync_ns", 300, 1, drain, [&] {
        launch();
        CHECK(cudaDeviceSynchronize());
    });
    measure("launch_500_and_sync_ns", 60, 500, drain, [&] {
        for (int i = 0; i < 500; ++i)
            launch();
        CHECK(cudaDeviceSynchronize());
    });
    measure("sync_idle_ns", 300, 1, drain, [&] { CHECK(cudaDeviceSynchronize()); });
    int host[4];
    measure("memcpy_d2h_16_ns", 300, 1, drain, [&] { CHECK(cudaMemcpy(host, d, 16, cudaMemcpyDeviceToHost)); });
    measure("memcpy_h2d_16_ns", 300, 1, drain, [&] { CHECK(cudaMemcpy(d, pageable.data(), 16, cudaMemcpyHostToDevice)); });
    measure("memcpy_async_h2d_pinned_4k_ns", 50, 100, drain, [&] {
        for (int i = 0; i < 100; ++i)
            CHECK(cudaMemcpyAsync(device, pinned, 4096, cudaMemcpyHostToDevice, stream));
    });
    measure("memset_async_ns", 50, 100, drain, [&] {
        for (int i = 0; i < 100; ++i)
            CHECK(cudaMemsetAsync(device, 0, 4096, stream));
    });
    measure("malloc_free_1m_ns", 100, 1, drain, [&] {
        void *p;
        CHECK(cudaMalloc(&p, 1 << 20));
        CHECK(cudaFree(p));
    });
    measure("malloc_free_1k_ns", 100, 10, drain, [&] {
        void *p[10];
        for (auto &q : p)
            CHECK(cudaMalloc(&q, 1000));
        for (auto &q : p)
            CHECK(cudaFree(q));
    });
    measure("event_record_ns", 50, 100, drain, [&] {
        for (int i = 0; i < 100; ++i)
            CHECK(cudaEventRecord(event, stream));
    });
    measure("event_query_ns", 50, 100, drain, [&] {
        for (int i = 0; i < 100; ++i)
            (void)cudaEventQuery(event);
    });
    measure("get_device_ns", 50, 1000, drain, [&] {
        int device_number;
        for (int i = 0; i < 1000; ++i)
            CHECK(cudaGetDevice(&device_number));
    });
    measure("get_last_error_ns", 50, 1000, drain, [&] {
        for (int i = 0; i < 1000; ++i)
            (void)cudaGetLastError();
    });
    measure("stream_create_destroy_ns", 50, 1, drain, [&] {
        cudaStream_t s;
        CHECK(cudaStreamCreate(&s));
        CHECK(cudaStreamDestroy(s));
    });
    bandwidth("h2d_pinned_gb_s", device, pinned, large, cudaMemcpyHostToDevice);
    bandwidth("d2h_pinned_gb_s", pinned, device, large, cudaMemcpyDeviceToHost);
    bandwidth("h2d_pageable_gb_s", device, pageable.data(), large, cudaMemcpyHostToDevice);
    bandwidth("d2h_pageable_gb_s", pageable.data(), device, large, cudaMemcpyDeviceToHost);
    bandwidth("d2d_gb_s", device, device + large / 2, large / 2, cudaMemcpyDeviceToDevice);
    return 0;
}
