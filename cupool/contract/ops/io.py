"""Rows: files and text, on the client (`shim/cupy/_io.py`): NumPy reads and writes, arrays are uploaded and downloaded whole."""

from __future__ import annotations

from cupool.contract.ops._row import CLIENT, op

for _name, _sig in {
    "load": "(file, mmap_mode=None, allow_pickle=None)",
    "save": "(file, arr, allow_pickle=None)",
    "savez": "(file, *args, **kwds)",
    "savez_compressed": "(file, *args, **kwds)",
    "savetxt": "(fname, X, *args, **kwargs)",
    "loadtxt": "(*args, **kwargs)",
    "genfromtxt": "(*args, **kwargs)",
    "fromfile": "(*args, **kwargs)",
    "frombuffer": "(*args, **kwargs)",
    "fromfunction": "(*args, **kwargs)",
    "fromiter": "(*args, **kwargs)",
    "fromstring": "(*args, **kwargs)",
    "array_repr": "(arr, max_line_width=None, precision=None, suppress_small=None)",
    "array_str": "(arr, max_line_width=None, precision=None, suppress_small=None)",
    "array2string": "(a, *args, **kwargs)",
    "format_float_positional": "(x, *args, **kwargs)",
    "format_float_scientific": "(x, *args, **kwargs)",
}.items():
    op(_name, _sig, CLIENT)
