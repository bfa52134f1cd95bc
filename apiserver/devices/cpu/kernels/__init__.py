"""CUDA C++ kernels on the CPU device: sources are compiled by g++ with the header under `include/`, and run in this process.

source.py    what a source says: its kernels, its barriers, its includes; `extern __shared__`
compiler.py  g++, its options and messages, and the cache of what it made
engine.py    modules, functions and launches
generate.py  the sources of elementwise and reduction kernels
ops.py       the device's implementations of the op table's kernel rows
"""

from .ops import Engine

__all__ = ["Engine"]
