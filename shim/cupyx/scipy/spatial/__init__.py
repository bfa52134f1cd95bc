"""`cupyx.scipy.spatial`."""

from __future__ import annotations

import importlib
from typing import Any

from ._delaunay import Delaunay as Delaunay
from ._kdtree import KDTree as KDTree
from .distance import distance_matrix as distance_matrix


def __getattr__(name: str) -> Any:
    if name == "distance":
        return importlib.import_module(f"{__name__}.distance")
    from ....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.spatial", name)
