"""A matrix product by tiles in shared memory, as a raw CUDA kernel.

python tiled_matmul.py
"""

import cupy as cp
import numpy as np

TILE = 16
ROWS, INNER, COLUMNS = 200, 150, 170  # no multiples of the tile

SOURCE = r"""
extern "C" __global__
void matmul(const float* a, const float* b, float* c, int rows, int inner, int columns)
{
    __shared__ float tile_a[TILE][TILE];
    __shared__ float tile_b[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y;
    int column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0.0f;
    for (int start = 0; start < inner; start += TILE) {
        int i = start + threadIdx.x, j = start + threadIdx.y;
        tile_a[threadIdx.y][threadIdx.x] = row < rows && i < inner ? a[row * inner + i] : 0.0f;
        tile_b[threadIdx.y][threadIdx.x] = j < inner && column < columns ? b[j * columns + column] : 0.0f;
        __syncthreads();
        for (int k = 0; k < TILE; ++k)
            sum += tile_a[threadIdx.y][k] * tile_b[k][threadIdx.x];
        __syncthreads();
    }
    if (row < rows && column < columns)
        c[row * columns + column] = sum;
}
"""


def main():
    kernel = cp.RawKernel(SOURCE, "matmul", options=(f"-DTILE={TILE}",))
    rng = np.random.default_rng(3)
    host_a = rng.standard_normal((ROWS, INNER), dtype=np.float32)
    host_b = rng.standard_normal((INNER, COLUMNS), dtype=np.float32)
    a, b = cp.asarray(host_a), cp.asarray(host_b)
    c = cp.empty((ROWS, COLUMNS), dtype=cp.float32)
    blocks = (-(-COLUMNS // TILE), -(-ROWS // TILE))
    kernel(blocks, (TILE, TILE), (a, b, c, cp.int32(ROWS), cp.int32(INNER), cp.int32(COLUMNS)))

    worst = float(np.abs(cp.asnumpy(c) - host_a.astype(np.float64) @ host_b).max())
    assert worst < 1e-3, worst
    print(f"{ROWS} x {INNER} times {INNER} x {COLUMNS} in {blocks[0] * blocks[1]} blocks of {TILE} x {TILE} threads")
    print(f"checked against NumPy: within {worst:.1e}")


main()
