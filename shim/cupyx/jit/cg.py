"""`cupyx.jit.cg`: cooperative groups in kernels written in Python."""

from __future__ import annotations

from ...kernels.jit.groups import memcpy_async, sync, this_grid, this_thread_block, wait, wait_prior

__all__ = ["memcpy_async", "sync", "this_grid", "this_thread_block", "wait", "wait_prior"]
