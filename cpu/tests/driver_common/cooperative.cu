// Source of cooperative.ptx: nvcc -arch=compute_75 -ptx.
#include <cooperative_groups.h>
extern "C" __global__ void together(int *out, int n) { cooperative_groups::grid_group g = cooperative_groups::this_grid(); atomicAdd(&out[0], 1); g.sync(); if (g.thread_rank() == 0) out[1] = out[0]; }
