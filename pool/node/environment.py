"""What a server inherits of its agent's environment."""

from __future__ import annotations

import os
from pathlib import Path

from cupool.contract import redaction


def environment() -> dict[str, str]:
    """What a server inherits: no pool address, no credential, and no drop-in that would turn its own CuPy into the shim."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("CUPOOL_ADDR", "CUPOOL_PREOPEN", "CUPOOL_SYNC") and k not in redaction.SECRET_VARIABLES
    }
    dropin = Path(__file__).resolve().parent.parent.parent / "cupool" / "dropin"
    paths = [p for p in kept.get("PYTHONPATH", "").split(os.pathsep) if p and not _is_dropin(p, dropin)]
    kept.pop("PYTHONPATH", None)
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return kept


def _is_dropin(path: str, dropin: Path) -> bool:
    real = Path(path).resolve()
    return real == dropin or (
        real.name == "dropin" and (real / "cupy" / "__init__.py").is_file() and real.parent.name == "cupool"
    )
