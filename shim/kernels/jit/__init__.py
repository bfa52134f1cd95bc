"""Kernels written in Python: the function's source is read on this machine and translated to CUDA C++, which then travels as any RawKernel.

types.py      C++ types of values
values.py     what a translated expression is: a constant, or code with a type
source.py     from a function object to its syntax tree
support.py    the C++ that every translated kernel starts with
operations.py ufuncs, casts and indexing on values
translate.py  functions and statements
expressions.py expressions
builtins.py   what `cupyx.jit` offers inside a kernel; groups.py: cooperative groups
kernel.py     the callable that `rawkernel` makes
"""

from __future__ import annotations
