"""The CUDA device: real CuPy on a GPU, kernels by NVRTC. cupy is imported when the device is made, not before."""
