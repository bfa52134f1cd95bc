"""CSC: compressed by columns."""

from __future__ import annotations

from typing import Any

from ._base import sparray, spmatrix
from ._compressed import _compressed_sparse_matrix


class _csc_base(_compressed_sparse_matrix):
    """CSC, matrix or array."""

    format = "csc"
    _major_axis = 1

    @staticmethod
    def _swap(x: Any, y: Any) -> tuple[Any, Any]:
        return y, x

    def tocsc(self, copy: bool | None = None) -> Any:
        """Itself, or a copy."""
        return self.copy() if copy else self

    def tocsr(self, copy: bool = False) -> Any:
        """In CSR format."""
        return self._converted("csr", self._csr_container)

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        """With the axes exchanged, as CSR; the arrays are shared unless `copy`."""
        return self._turned(self._csr_container, axes, copy)

    def _getrow(self, i: Any) -> Any:
        return self[self._line(i, 0), :].tocsr()

    def _getcol(self, j: Any) -> Any:
        return self[:, self._line(j, 1)]


class csc_matrix(spmatrix, _csc_base):
    """Compressed sparse column matrix. Made as `csr_matrix`."""


class csc_array(_csc_base, sparray):
    """Compressed sparse column array: as `csc_matrix` with elementwise `*`."""


def isspmatrix_csc(x: Any) -> bool:
    """Whether `x` is a `csc_matrix`."""
    return isinstance(x, csc_matrix)


__all__ = ["csc_array", "csc_matrix", "isspmatrix_csc"]
