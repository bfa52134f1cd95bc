// float16 is built in; as with CuPy, CUDA's half comes along.
#pragma once
#include "cuda_fp16.h"
