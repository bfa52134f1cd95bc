"""`cupyx.scipy.spatial.Delaunay`: triangles and their neighbours, as arrays on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from .... import dispatch as _dispatch
from ....convert import asarray as _asarray
from ....rows import ROWS as _ROWS

_MAKE, _FIND, _VERTICES = (
    _ROWS[f"@cupyx.scipy.spatial.{name}"] for name in ("delaunay", "delaunay_find", "delaunay_vertices")
)


class Delaunay:
    """Delaunay triangulation of points in the plane.

    Args:
        points: (n, 2).
        furthest_site: not in CuPy either.
        incremental: not in CuPy either.

    Attributes:
        points: the points.
        simplices: places in `points` of each triangle's corners, counterclockwise, (number of triangles, 3) int32.
        neighbors: for each corner the triangle across the opposite side, -1 for none, of the same shape.

    Raises:
        ValueError: points that are not in the plane, or an option that CuPy does not have.
    """

    def __init__(self, points: Any, furthest_site: bool = False, incremental: bool = False) -> None:
        points = _asarray(points)
        if points.shape[-1] != 2:
            raise ValueError("Delaunay only supports 2D inputs at the moment.")
        if furthest_site:
            raise ValueError("furthest_site argument is not supported by CuPy.")
        if incremental:
            raise ValueError("incremental argument is not supported by CuPy.")
        self.points = points
        self.simplices, self.neighbors = _dispatch.call(_MAKE, (points,))

    def _find_simplex_coordinates(self, xi: Any, eps: float, find_coords: bool = False) -> Any:
        """The triangle of each point of `xi` (n, 2), int32, -1 outside; with `find_coords` also its weights of the corners (n, 3)."""
        args = (self.points, self.simplices, self.neighbors, xi, float(eps), bool(find_coords))
        return _dispatch.call(_FIND, args)

    def find_simplex(self, xi: Any, bruteforce: bool = False, tol: float | None = None) -> Any:
        """The triangle that each point of `xi` (n, 2) is in, int32 (n,); -1 outside.

        Args:
            xi: the points.
            bruteforce: taken and not used, as in CuPy.
            tol: how far outside of a triangle counts as inside, in barycentric coordinates; 100 times float64's eps by default.
        """
        xi = _asarray(xi)
        if xi.shape[-1] != 2:
            raise ValueError("Delaunay only supports 2D inputs at the moment.")
        return self._find_simplex_coordinates(xi, 100 * np.finfo(np.float64).eps if tol is None else float(tol))

    def vertex_neighbor_vertices(self) -> tuple[Any, Any]:
        """(indptr, indices): the points next to point k are `indices[indptr[k]:indptr[k + 1]]`."""
        pointers, places = _dispatch.call(_VERTICES, (self.points, self.simplices))
        return pointers, places
