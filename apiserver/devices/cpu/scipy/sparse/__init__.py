"""`cupyx.scipy.sparse` on SciPy: the commands of the client's matrix classes. A module per kind of op, each with a table `OPS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import arithmetic, formats, indexing, linalg

OPS: dict[str, Callable[..., Any]] = {**formats.OPS, **arithmetic.OPS, **indexing.OPS, **linalg.OPS}
