"""What `cupy.cuda.nvtx` has: real CuPy keeps that module here."""

from __future__ import annotations

from ..._forward import forward

forward(__name__)
