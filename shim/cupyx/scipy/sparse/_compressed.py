"""What CSR and CSC share: construction, copies, flags, arithmetic, comparison, reductions.

Major and minor axis: rows and columns of CSR, columns and rows of CSC. Duplicates and unsorted indices are allowed everywhere; a
command that needs them gone works on its own copy, so an operand never changes but by a method that says so.

Note [Flags]. `_has_canonical_format` and `_has_sorted_indices` are attributes of an instance where that is known, and absent where
only the device can tell: asking for the public names then waits.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from ....local import isscalar
from . import _host, _index, _ops, _sputils
from ._base import issparse, sparray
from ._data import _data_matrix, _diagonal_mixin, _minmax_mixin
from ._ops import cp
from ._sputils import as_dtype, isdense, isscalarlike

#: Operator of a comparison -> what to say when its result is dense.
_SCALAR_HINTS = {
    "eq": ("==", "!="), "ne": ("!=", "=="), "lt": ("<", ">="), "gt": (">", "<="), "le": ("<=", ">"), "ge": (">=", "<"),
}  # fmt: skip


class _compressed_sparse_matrix(_diagonal_mixin, _data_matrix, _minmax_mixin, _index.IndexMixin):
    """Base of CSR and CSC."""

    #: Position of the major axis in the shape.
    _major_axis: int
    indices: Any
    indptr: Any

    @staticmethod
    def _swap(x: Any, y: Any) -> tuple[Any, Any]:
        """(row, column) as (major, minor), and back."""
        raise NotImplementedError

    # -- construction --------------------------------------------------------------------------------------------------------

    def __init__(
        self, arg1: Any, shape: Any = None, dtype: Any = None, copy: bool = False, *, maxprint: Any = None
    ) -> None:
        if maxprint is not None:
            self.maxprint = maxprint
        if self._is_1d(arg1, shape):
            if 1 in self._allow_nd:
                self._init_1d(arg1, shape, dtype, copy)
                return
            if isinstance(self, sparray):
                raise ValueError(
                    f"{type(self).__name__} does not support 1D input; use a 2D shape or coo_array / csr_array"
                )
        if shape is not None:
            shape = _sputils.as_shape(shape)
        made, shape, copy = self._parts_of(arg1, shape, dtype, copy)
        data, indices, indptr, index = made
        dtype = data.dtype if dtype is None else np.dtype(dtype)
        _sputils.check_data_dtype(dtype)
        self.data = data.astype(dtype) if copy else as_dtype(data, dtype)
        self.indices = indices.astype(index) if copy else as_dtype(indices, index)
        self.indptr = indptr.astype(index) if copy else as_dtype(indptr, index)
        if shape is None:
            shape = self._swap(len(indptr) - 1, _ops.bounds((indices,))[1] + 1)
        major, _ = self._swap(*shape)
        if len(indptr) != major + 1:
            raise ValueError(f"index pointer size ({len(indptr)}) should be ({major + 1})")
        self._shape = shape

    @staticmethod
    def _is_1d(arg1: Any, shape: Any) -> bool:
        """Whether the arguments describe an array of one dimension."""
        if issparse(arg1) or isdense(arg1) or _host.is_sparse(arg1):
            return bool(arg1.ndim == 1 and (shape is None or len(shape) == 1))
        if shape is not None:
            return len(shape) == 1
        if not isinstance(arg1, tuple):
            return False
        return len(arg1) == 1 or (len(arg1) == 2 and isinstance(arg1[1], tuple) and len(arg1[1]) == 1)

    def _init_1d(self, arg1: Any, shape: Any, dtype: Any, copy: bool) -> None:
        cls: Any = type(self)
        if issparse(arg1) and arg1.format == self.format and (shape is None or tuple(shape) == tuple(arg1.shape)):
            made = arg1.copy() if copy else arg1
            made = made if dtype is None else made.astype(dtype)
        elif isinstance(arg1, tuple) and len(arg1) == 3:
            (n,) = _sputils.as_shape(shape, self._allow_nd)
            made = cls(arg1, shape=(1, n), dtype=dtype, copy=copy)
            made._shape = (n,)
        else:
            made = self._coo_container(arg1, shape=shape, dtype=dtype, copy=copy).tocsr()
        self.data, self.indices, self.indptr, self._shape = made.data, made.indices, made.indptr, made._shape
        self._take_flags(made)

    def _parts_of(self, arg1: Any, shape: Any, dtype: Any, copy: bool) -> tuple[tuple[Any, Any, Any, Any], Any, bool]:
        """((data, indices, indptr, index dtype), shape, whether they must still be copied).

        Cases: a matrix of ours, a shape, a matrix of SciPy, (data, (row, col)), (data, indices, indptr), a dense array.
        """
        if issparse(arg1):
            x = arg1.asformat(self.format)
            return (x.data, x.indices, x.indptr, x.indices.dtype), shape or arg1.shape, copy and x is arg1
        if _sputils.isshape(arg1):
            size = _sputils.as_shape(arg1)
            index = _sputils.index_type(max(size))
            data = cp.zeros(0, dtype if dtype else "d")
            return (data, cp.zeros(0, index), cp.zeros(self._swap(*size)[0] + 1, index), index), size, False
        if _host.is_sparse(arg1):
            x = arg1.asformat(self.format)
            arrays = (cp.array(x.data), cp.array(x.indices), cp.array(x.indptr, dtype=x.indices.dtype))
            return (*arrays, x.indices.dtype), shape or arg1.shape, False
        if isinstance(arg1, tuple) and len(arg1) == 2:
            x = self._coo_container(arg1, shape=shape, dtype=dtype, copy=copy).asformat(self.format)
            return (x.data, x.indices, x.indptr, x.indices.dtype), x.shape, copy
        if isinstance(arg1, tuple) and len(arg1) == 3:
            return self._given_parts(*arg1, shape), shape, copy
        if isdense(arg1):
            x = self._dense_input(arg1)
            data, indices, indptr = _ops.run("from_dense", x, self.format)
            return (data, indices, indptr, indices.dtype), shape or x.shape, False
        raise ValueError("Unsupported initializer format")

    def _given_parts(self, data: Any, indices: Any, indptr: Any, shape: Any) -> tuple[Any, Any, Any, Any]:
        """A program's own arrays, looked at: CuPy does so too, and waits for it."""
        if not all(isdense(x) and x.ndim == 1 for x in (data, indices, indptr)):
            raise ValueError("data, indices, and indptr must be 1-D cupy arrays")
        if len(data) != len(indices):
            raise ValueError("indices and data should have the same size")
        largest = 0 if shape is None else max(shape)
        index: Any = _sputils.index_type(largest)
        wide = [x for x in (indices, indptr) if not np.can_cast(x.dtype, np.int32)]
        if not len(indptr):
            return data, indices, indptr, np.int64 if wide else index
        *found, first, last = _ops.bounds(tuple(wide), indptr)
        if first != 0:
            raise ValueError(f"index pointer should start with 0 (got {first})")
        if last > data.size:
            raise ValueError(f"last index pointer ({last}) exceeds the size of data/indices ({data.size})")
        if data.size > last:
            data, indices = data[:last], indices[:last]
        if wide:
            fits = not isinstance(self, sparray) and max(found) <= np.iinfo(np.int32).max
            index = index if fits else np.int64
        return data, indices, indptr, index

    def _dense_input(self, x: Any) -> Any:
        """A dense array with two dimensions."""
        if x.ndim > 2:
            raise ValueError("expected dimension <= 2 array or matrix")
        if x.ndim == 0 and isinstance(self, sparray):
            error = TypeError if 1 in self._allow_nd else ValueError
            raise error(f"{type(self).__name__} does not support scalar (0-D) input; provide an array")
        x = x.reshape(1, 1) if x.ndim == 0 else x[None] if x.ndim == 1 else x
        _sputils.check_data_dtype(x.dtype)
        return x

    @classmethod
    def _of(cls, shape: Any, data: Any, indices: Any, indptr: Any, *, like: Any = None, canonical: bool | None = None,
            is_sorted: bool | None = None) -> Self:  # fmt: skip
        """An instance around arrays that are right. `like`: whose flags it has."""
        made = cls.__new__(cls)
        made.data, made.indices, made.indptr, made._shape = data, indices, indptr, shape
        if like is not None:
            made._take_flags(like)
        if canonical is not None:
            made._has_canonical_format = canonical
        if canonical or is_sorted is not None:
            made._has_sorted_indices = bool(canonical or is_sorted)
        return made

    @classmethod
    def _from_parts(cls, data: Any, indices: Any, indptr: Any, shape: Any, has_canonical_format: bool | None = None,
                    has_sorted_indices: bool | None = None) -> Self:  # fmt: skip
        """An instance around arrays whose contents are right, after looking at their shapes and dtypes. Never looks at data.

        Raises:
            ValueError: they do not fit each other or the shape.
        """
        shape = _sputils.as_shape(shape, cls._allow_nd)
        if data.ndim != 1 or indices.ndim != 1 or indptr.ndim != 1:
            raise ValueError(
                f"data, indices, and indptr must be 1-D, got ndim {data.ndim}, {indices.ndim}, {indptr.ndim}"
            )
        if indices.dtype != indptr.dtype:
            raise ValueError(f"indices and indptr must have the same dtype, got {indices.dtype} and {indptr.dtype}")
        if has_canonical_format is True and has_sorted_indices is False:
            raise ValueError(
                "has_canonical_format=True implies sorted indices, but has_sorted_indices=False was passed"
            )
        stored = None if data._spec is None or indices._spec is None else data.size
        if stored is not None and stored != indices.size:
            raise ValueError(f"data and indices must have the same length, got {stored} and {indices.size}")
        major = ((1, shape[0]) if len(shape) == 1 else shape)[cls._major_axis]
        if indptr.size != major + 1:
            raise ValueError(f"indptr has length {indptr.size}, expected {major + 1} (major axis + 1)")
        largest = np.iinfo(indices.dtype).max
        if max(shape) > largest:
            raise ValueError(f"shape {shape} too large for index dtype {indices.dtype}")
        if stored is not None and stored > largest:
            raise ValueError(f"nnz {stored} too large for index dtype {indices.dtype}")
        made = cls._of(shape, data, indices, indptr, canonical=has_canonical_format)
        if has_sorted_indices is not None:
            made._has_sorted_indices = has_sorted_indices
        return made

    def _take_flags(self, other: Any) -> None:
        known = other.__dict__
        for name in ("_has_canonical_format", "_has_sorted_indices"):
            if name in known:
                self.__dict__[name] = known[name]

    def _adopt(
        self, data: Any, indices: Any, indptr: Any = None, *, canonical: bool = False, is_sorted: bool = False
    ) -> None:
        """Other arrays in this very object, and what is known of them."""
        self.data, self.indices = data, indices
        if indptr is not None:
            self.indptr = indptr
        known = self.__dict__
        known.pop("_has_canonical_format", None)
        known.pop("_has_sorted_indices", None)
        if canonical:
            known["_has_canonical_format"] = True
        if canonical or is_sorted:
            known["_has_sorted_indices"] = True

    @property
    def _descr(self) -> Any:
        """The matrix's descriptor of cuSPARSE: a number, for programs that hand it on."""
        from ...cusparse import MatDescriptor

        return self.__dict__.setdefault("_descriptor", MatDescriptor.create())

    # -- copies ------------------------------------------------------------------------------------------------------------

    def _with_data(self, data: Any, copy: bool = True) -> Any:
        indices, indptr = (self.indices.copy(), self.indptr.copy()) if copy else (self.indices, self.indptr)
        return self._of(self._shape, data, indices, indptr, like=self)

    def _as_2d(self) -> Any:
        return self if self.ndim == 2 else self._of(self._shape_as_2d, self.data, self.indices, self.indptr, like=self)

    def _known_canonical(self) -> bool:
        return bool(self.__dict__.get("_has_canonical_format", False))

    def _summed(self) -> Any:
        if self._known_canonical():
            return self
        return self._of(self._shape, *_ops.on("coalesce", self), canonical=True)

    def _on_backing(self, method: str, *args: Any) -> None:
        """Run a method that works in place on the row behind an array of one dimension."""
        backing = self._as_2d()
        getattr(backing, method)(*args)
        self._adopt(backing.data, backing.indices, backing.indptr)
        self._take_flags(backing)

    def get(self, stream: Any = None) -> Any:
        """A copy as an object of `scipy.sparse`. Waits.

        Raises:
            RuntimeError: SciPy is not installed here.
        """
        cls = _host.matching(self, "array" if isinstance(self, sparray) else "matrix")
        arrays = (self.data.get(stream), self.indices.get(stream), self.indptr.get(stream))
        return cls(arrays, shape=self._shape)

    # -- flags: Note [Flags] --------------------------------------------------------------------------------------------------

    def _ask_flags(self) -> None:
        is_sorted, canonical = _ops.on("flags", self)
        self._has_sorted_indices = bool(is_sorted)
        self.__dict__.setdefault("_has_canonical_format", bool(canonical))

    @property
    def has_canonical_format(self) -> bool:
        """Whether indices are sorted and without duplicates. Waits where it is not known."""
        known = self.__dict__
        if known.get("_has_sorted_indices") is False:
            self._has_canonical_format = False
        elif "_has_canonical_format" not in known:
            self._ask_flags()
        return bool(known["_has_canonical_format"])

    @has_canonical_format.setter
    def has_canonical_format(self, value: Any) -> None:
        self._has_canonical_format = bool(value)
        if value:
            self._has_sorted_indices = True

    @property
    def has_sorted_indices(self) -> bool:
        """Whether indices are sorted. Waits where it is not known."""
        known = self.__dict__
        if "_has_sorted_indices" not in known:
            self._ask_flags()
        return bool(known["_has_sorted_indices"])

    @has_sorted_indices.setter
    def has_sorted_indices(self, value: Any) -> None:
        self._has_sorted_indices = bool(value)

    def sort_indices(self) -> None:
        """Sort the indices, in place."""
        if self.ndim == 1:
            self._on_backing("sort_indices")
        elif not self.has_sorted_indices:
            # In the very arrays, as in CuPy: whoever holds them sees it.
            self.data[...], self.indices[...] = _ops.on("sort", self, "r")
            self._has_sorted_indices = True

    def sorted_indices(self) -> Any:
        """A copy with sorted indices."""
        made = self.copy()
        made.sort_indices()
        return made

    def sum_duplicates(self) -> None:
        """Sum elements of equal places, in place; sorts too."""
        if not self.has_canonical_format:
            self._adopt(*_ops.on("coalesce", self), canonical=True)

    def eliminate_zeros(self) -> None:
        """Remove stored zeros, in place."""
        known = dict(self.__dict__)
        self._adopt(*_ops.on("eliminate_zeros", self))
        for name in ("_has_canonical_format", "_has_sorted_indices"):
            if known.get(name):
                self.__dict__[name] = True

    def prune(self) -> None:
        """Drop what `data` and `indices` hold beyond the last element. Waits."""
        if len(self.indptr) != self._swap(*self._shape_as_2d)[0] + 1:
            raise ValueError("index pointer has invalid length")
        stored = _ops.bounds((), self.indptr)[-1]
        for name in ("indices", "data"):
            array = getattr(self, name)
            if len(array) < stored:
                what = (
                    "indices array has fewer than nnz elements"
                    if name == "indices"
                    else "data array has fewer than nnz elements"
                )
                raise ValueError(what)
            if len(array) > stored:
                setattr(self, name, array[:stored].copy())

    def _getnnz(self, axis: Any = None) -> int:
        if axis is None:
            return int(self.data.size)
        raise NotImplementedError(f"getnnz over an axis is not implemented for {self.format.upper()} format")

    # -- sums -----------------------------------------------------------------------------------------------------------------

    def _add(self, other: Any, lhs_negative: bool, rhs_negative: bool) -> Any:
        if isscalar(other):
            if other == 0:
                return -self if lhs_negative else self.copy()
            raise NotImplementedError("adding a nonzero scalar to a sparse matrix is not supported")
        if issparse(other):
            if self.ndim != 2 or other.ndim != 2:
                return self._run_1d_backing_op(other, lambda a, o: a._add(o, lhs_negative, rhs_negative))
            return self._add_sparse(other.asformat(self.format), -1 if lhs_negative else 1, -1 if rhs_negative else 1)
        if not isdense(other):
            return NotImplemented
        mine = self.todense()
        if lhs_negative:
            return -mine - other if rhs_negative else other - mine
        return mine - other if rhs_negative else mine + other

    def _add_sparse(self, other: Any, alpha: int, beta: int) -> Any:
        made = _ops.run("add", _ops.operand(self), _ops.operand(other), alpha, beta)
        return self._of(self._shape, *made, canonical=True)

    def __add__(self, other: Any) -> Any:
        return self._add(other, False, False)

    def __radd__(self, other: Any) -> Any:
        return self._add(other, False, False)

    def __sub__(self, other: Any) -> Any:
        return self._add(other, False, True)

    def __rsub__(self, other: Any) -> Any:
        return self._add(other, True, False)

    # -- products -----------------------------------------------------------------------------------------------------------

    def _matmul_dispatch(self, other: Any) -> Any:
        if isscalar(other):
            return self._with_data(self.data * other)
        if issparse(other):
            if self.ndim != 2 or other.ndim != 2:
                return self._matmul_1d(other)
            if other.format == "dia":
                other = other.tocsr()
            made = _ops.run("matmul", _ops.operand(self), _ops.operand(other))
            return self._csr_container._of((self._shape[0], other._shape[1]), *made, canonical=True)
        if not isdense(other):
            return NotImplemented
        if other.ndim == 0:
            return self._with_data(self.data * other)
        if self.ndim != 2:
            return self._matmul_1d(other)
        if other.ndim > 2:
            raise ValueError("could not interpret dimensions")
        return _ops.on("dot", self, other)

    def _matmul_1d(self, other: Any) -> Any:
        """A product with an operand of one dimension: a number, or one dimension less."""
        left = self._as_2d()
        right = other._as_2d().T if issparse(other) and other.ndim == 1 else other
        made = left @ right
        if self.ndim == 1 and other.ndim == 1:
            return (made.toarray() if issparse(made) else made).reshape(())
        if issparse(made):
            rows, cols = made.shape
            return made.reshape((cols if self.ndim == 1 else rows,))
        return made.reshape(-1)

    # -- comparison: of CSR; CSC goes through it --------------------------------------------------------------------------------

    def _comparison(self, other: Any, name: str) -> Any:
        if self.format != "csr":
            return self.tocsr()._comparison(other, name)
        if self.ndim != 2:
            return self._run_1d_backing_op(other, lambda a, o: a._comparison(o, name))
        if isscalarlike(other):
            return self._compare_with_scalar(other, name)
        function: Callable[[Any, Any], Any] = getattr(operator, name)
        if isdense(other):
            return function(self.todense(), other)
        if not issparse(other):
            raise NotImplementedError
        if name in ("eq", "le", "ge"):
            text = "Comparing sparse matrices using ==, <=, and >= is inefficient, try using !=, <, or > instead."
            warnings.warn(text, _host.efficiency_warning(), stacklevel=3)
        return self._binary(other.tocsr(), name)

    def _binary(self, other: Any, name: str) -> Any:
        made = _ops.run("binary", _ops.operand(self), _ops.operand(other), name)
        shape = tuple(m if n == 1 else n for m, n in zip(self._shape, other._shape, strict=True))
        return self._of(shape, *made, canonical=True)

    def _compare_with_scalar(self, other: Any, name: str) -> Any:
        value = other.item() if isdense(other) else other
        with np.errstate(all="ignore"):
            scalar = np.asarray(value).astype(self.dtype)[()]
        if self.dtype.kind != "c" and not np.isnan(scalar) and getattr(operator, name)(self.dtype.type(0), scalar):
            sign, instead = _SCALAR_HINTS[name]
            text = f"Comparing a sparse matrix with {scalar} using {sign} is inefficient. Try using {instead} instead."
            warnings.warn(text, _host.efficiency_warning(), stacklevel=4)
        return self._of(self._shape, *_ops.on("compare", self, scalar, name), canonical=True)

    def __eq__(self, other: object) -> Any:
        return self._comparison(other, "eq")

    def __ne__(self, other: object) -> Any:
        return self._comparison(other, "ne")

    def __lt__(self, other: Any) -> Any:
        return self._comparison(other, "lt")

    def __gt__(self, other: Any) -> Any:
        return self._comparison(other, "gt")

    def __le__(self, other: Any) -> Any:
        return self._comparison(other, "le")

    def __ge__(self, other: Any) -> Any:
        return self._comparison(other, "ge")

    # -- formats ------------------------------------------------------------------------------------------------------------

    def toarray(self, order: Any = None, out: Any = None) -> Any:
        """As a dense array, in C or F order."""
        order = "C" if order is None else order.upper()
        if order not in ("C", "F"):
            raise ValueError("order not understood")
        made = _ops.on("to_dense", self, order)
        return made if self.ndim == 2 else made.reshape(self._shape)

    def tocoo(self, copy: bool = False) -> Any:
        """In COO format; `data` and the minor indices are shared unless `copy`."""
        if self.ndim == 1:
            return self._as_2d().tocoo(copy=copy).reshape(self._shape)
        data, minor = (self.data.copy(), self.indices.copy()) if copy else (self.data, self.indices)
        row, col = self._swap(_ops.run("expand", self.indptr, self.indices), minor)
        # The order of a canonical CSR matrix is that of a canonical COO one.
        return self._coo_container._of(
            self._shape, data, row, col, canonical=self.format == "csr" and self._known_canonical()
        )

    def _converted(self, to: str, container: Any) -> Any:
        made = _ops.on("convert", self, to, False)
        return container._of(self._shape, *made, canonical=True if self._known_canonical() else None, is_sorted=True)

    def _turned(self, container: Any, axes: Any, copy: bool) -> Any:
        """The same arrays as the other format with the axes exchanged."""
        if axes is not None:
            raise ValueError(
                "Sparse matrices do not support an 'axes' parameter because swapping dimensions is the only logical permutation."
            )
        if self.ndim == 1:
            return self.copy() if copy else self
        arrays = (self.data, self.indices, self.indptr)
        if copy:
            arrays = tuple(x.copy() for x in arrays)
        return container._of(self._shape[::-1], *arrays, like=self)

    def _put_diagonal(self, values: Any, k: int) -> None:
        self._adopt(*_ops.on("set_diagonal", self, values, k), canonical=True)
