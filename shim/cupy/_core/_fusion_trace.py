"""`cupy._core._fusion_trace`: the class that writes a fused function down."""

from __future__ import annotations

from ...kernels.fused.trace import Trace as TraceImpl

__all__ = ["TraceImpl"]
