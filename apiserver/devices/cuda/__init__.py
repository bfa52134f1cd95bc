"""The CUDA device: real CuPy on a GPU, kernels by NVRTC. cupy and cuda-bindings are imported when the device is made, not before."""
