"""`cupy.cuda.compiler`: the exception. Compiling is the server's."""

from __future__ import annotations

from cupool.contract.errors import CompileException

CompileException.__module__ = "cupy.cuda.compiler"

__all__ = ["CompileException"]
