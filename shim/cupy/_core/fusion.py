"""`cupy._core.fusion`: where CuPy defines `fuse`."""

from __future__ import annotations

from ...fusion import Fusion as Fusion
from ...fusion import fuse as fuse
