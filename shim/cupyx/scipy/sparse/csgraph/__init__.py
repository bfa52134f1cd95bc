"""`cupyx.scipy.sparse.csgraph`."""

from __future__ import annotations

from typing import Any

from .. import _ops
from .._base import issparse
from .._csr import csr_matrix
from .._ops import cp


def connected_components(
    csgraph: Any, directed: bool = True, connection: str = "weak", return_labels: bool = True
) -> Any:
    """The connected components of a graph given by its adjacency matrix: (their number, a label per node), or the number alone.

    Raises:
        ValueError: no square matrix, or no such connection.
    """
    connection = connection.lower()
    if connection not in ("weak", "strong"):
        raise ValueError("connection must be 'weak' or 'strong'")
    if csgraph.ndim != 2:
        raise ValueError("graph should have two dimensions")
    graph = csgraph.tocsr() if issparse(csgraph) else csr_matrix(csgraph)
    nodes, other = graph.shape
    if nodes != other:
        raise ValueError("graph should be a square array")
    if graph.nnz == 0:
        return nodes, cp.arange(nodes, dtype=graph.indices.dtype)
    count, labels = _ops.on("components", graph, connection if directed else "weak")
    return (int(count), labels) if return_labels else int(count)


def __getattr__(name: str) -> Any:
    from .....cupy._missing import refuse_attribute

    return refuse_attribute("cupyx.scipy.sparse.csgraph", name)
