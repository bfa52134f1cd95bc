// What CuPy puts into namespace std for NVRTC; g++ has it.
#pragma once
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>
