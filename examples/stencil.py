"""Heat spreading over a plate: a five-point stencil with a halo in shared memory, as a raw CUDA kernel.

    python stencil.py

Forty launches, one after the other on the GPU, and one look at the result.
"""

import cupy as cp
import numpy as np

SIDE = 16
SIZE = 200
STEPS = 40
RATE = 0.2

SOURCE = r"""
extern "C" __global__
void heat(const double* from, double* to, int n, double rate)
{
    __shared__ double tile[SIDE + 2][SIDE + 2];
    int x = blockIdx.x * SIDE + threadIdx.x, y = blockIdx.y * SIDE + threadIdx.y;
    int tx = threadIdx.x + 1, ty = threadIdx.y + 1;
    // Outside of the plate it is as warm as at its edge.
    int cx = min(x, n - 1), cy = min(y, n - 1);
    tile[ty][tx] = from[cy * n + cx];
    if (threadIdx.x == 0)        tile[ty][0] = from[cy * n + max(cx - 1, 0)];
    if (threadIdx.x == SIDE - 1) tile[ty][SIDE + 1] = from[cy * n + min(cx + 1, n - 1)];
    if (threadIdx.y == 0)        tile[0][tx] = from[max(cy - 1, 0) * n + cx];
    if (threadIdx.y == SIDE - 1) tile[SIDE + 1][tx] = from[min(cy + 1, n - 1) * n + cx];
    __syncthreads();
    if (x >= n || y >= n)
        return;
    double around = tile[ty - 1][tx] + tile[ty + 1][tx] + tile[ty][tx - 1] + tile[ty][tx + 1];
    to[y * n + x] = tile[ty][tx] + rate * (around - 4.0 * tile[ty][tx]);
}
"""


def reference(plate):
    for _ in range(STEPS):
        p = np.pad(plate, 1, mode="edge")
        plate = plate + RATE * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * plate)
    return plate


def main():
    kernel = cp.RawKernel(SOURCE, "heat", options=(f"-DSIDE={SIDE}",))
    host = np.zeros((SIZE, SIZE))
    host[60:90, 100:160] = 100.0
    host[150:, :20] = 50.0
    plate, other = cp.asarray(host), cp.empty((SIZE, SIZE))
    blocks = -(-SIZE // SIDE)
    for _ in range(STEPS):
        kernel((blocks, blocks), (SIDE, SIDE), (plate, other, SIZE, RATE))
        plate, other = other, plate

    result = cp.asnumpy(plate)
    worst = float(np.abs(result - reference(host)).max())
    assert worst < 1e-9, worst
    print(f"{STEPS} steps on {SIZE} x {SIZE} points, hottest {result.max():.3f}, mean {result.mean():.6f}")
    print(f"checked against NumPy: within {worst:.1e}")


main()
