"""`cupy._core.flags`."""

from __future__ import annotations

from ...flags import Flags as Flags
