"""`cupy._core._fusion_kernel`: the class of what a fused function is joined into."""

from __future__ import annotations

from ...kernels.fused.loops import Joined as FusedKernel

__all__ = ["FusedKernel"]
