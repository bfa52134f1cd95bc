"""`cupy.ndarray`: a handle and a spec.

Boundary: what a program sees of an array. Operators come from `operators.py`, methods that are commands from the generated mixin,
views from `views.py`, indexing from `indexing.py`, bytes in and out from `convert.py`.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from types import GenericAlias
from typing import Any

import numpy as np

from cupool.contract import ids
from cupool.contract.spec import Spec, forget_all, spec_of

from . import births, captures, dispatch, forms, keys, operators, session, streams
from ._generated import functions
from .arithmetic import Operators
from .flags import Flags
from .pending import GATE, extend
from .rows import ROWS

_new: Any = object.__new__
#: One thread at a time asks what a pending array is. In a list: a forked child gets a fresh one.
_resolving = [threading.RLock()]
_MAX_NDIM = 32
_ROW_COPY = ROWS["ndarray.copy"]


class ndarray(Operators, functions.ndarrayMethods):
    """An array on the server.

    Attributes:
        _handle: this array's handle (owned: freed when this object dies).
        _spec: interned `cupool.contract.spec.Spec`; None while pending (only the data can tell; `_resolve()` waits).
        _root: the array of whose memory this is a view; unset or None for an array of its own memory.
        _shift: of a view, bytes from the root's first element to this one's; unset otherwise.
        _place: (memory, offset) of a root array in memory that somebody allocated (`cupy.cuda.memory`); unset where the server did.
        _probe: of a pending array, what is known of its shape, or None; unset otherwise.
    """

    __slots__ = ("__weakref__", "_handle", "_place", "_probe", "_root", "_shift", "_spec")
    __module__ = "cupy"
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    _handle: int
    _spec: Spec | None
    _root: Any
    _shift: int
    _place: Any
    _probe: Any

    def __new__(
        cls, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str | None = "C",
        *args: Any, **kwargs: Any,
    ) -> Any:  # fmt: skip
        from . import create

        made = create.constructed(shape, dtype, memptr, strides, order)
        return made if cls is ndarray else made.view(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Everything is done in `__new__`, so that subclasses may take other arguments."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keys.register_array_class(cls)

    def __array_finalize__(self, obj: Any) -> None:
        pass

    def __del__(self, extend: Any = extend) -> None:
        # Appends only: a finalizer may run at any bytecode and at interpreter exit.
        try:  # noqa: SIM105 - a context manager costs more than all of this
            extend((0, self._handle))
        except AttributeError:  # never got a handle
            pass

    # -- what is known without asking ---------------------------------------------------------------------------------

    def _resolve(self) -> Spec:
        """The spec; waits when only the data can tell it."""
        spec = self._spec
        if spec is None:
            # The answer comes once: of two threads that look at the same array one takes it, the other finds it here.
            with _resolving[0]:
                spec = self._spec
                if spec is None:
                    captures.check_wait()
                    spec = session.wait_spec(self._handle)
                    self._spec = spec = spec if type(self) is ndarray else twin(spec)
        return spec

    @property
    def _base(self) -> ndarray | None:
        return getattr(self, "_root", None)

    @property
    def _offset(self) -> int:
        return 0 if self._base is None else self._shift

    @property
    def base(self) -> ndarray | None:
        """The array whose memory this is a view of."""
        return self._base

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of axes. Assigning reshapes without a copy, or raises."""
        return (self._spec or self._resolve()).shape

    @shape.setter
    def shape(self, newshape: Any) -> None:
        from . import views

        views.reshape_in_place(self, newshape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        spec = self._spec
        if spec is None:
            if self._probe is not None:
                return self._probe.first.dtype  # type: ignore[no-any-return]
            spec = self._resolve()
        return spec.dtype

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of axes in bytes."""
        return (self._spec or self._resolve()).strides

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        spec = self._spec
        if spec is None:
            if self._probe is not None:
                return self._probe.first.ndim  # type: ignore[no-any-return]
            spec = self._resolve()
        return spec.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return (self._spec or self._resolve()).size

    @property
    def itemsize(self) -> int:
        """Size of an element in bytes."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Total size of all elements in bytes, without skips."""
        return (self._spec or self._resolve()).nbytes

    @property
    def flags(self) -> Flags:
        """Contiguity and ownership."""
        spec = self._spec or self._resolve()
        return Flags(spec.c_contiguous, spec.f_contiguous, self._base is None)

    # CuPy's own names for them, which programs take although they are private.
    @property
    def _c_contiguous(self) -> bool:
        return self.flags.c_contiguous

    @property
    def _f_contiguous(self) -> bool:
        return self.flags.f_contiguous

    @property
    def device(self) -> Any:
        """The device that holds the array."""
        from .cupy.cuda.device import Device

        return Device(0)

    @property
    def data(self) -> Any:
        """Pointer to the first element; its number is asked for when `.ptr` is read."""
        from .cupy.cuda.memory import MemoryPointer

        return MemoryPointer.of_array(self)

    @property
    def cstruct(self) -> Any:
        """As a kernel argument."""
        return self

    # -- views ----------------------------------------------------------------------------------------------------------

    @property
    def T(self) -> ndarray:
        """Shape-reversed view; the array itself below two dimensions."""
        try:
            head, spec = views.REVERSED[self._spec]  # see Note [Hot tables]
        except KeyError:
            return self if self.ndim < 2 else self.transpose()
        # `views.emit`, without its call and without a stream.
        made = operators.blank()
        made._spec = spec
        made._handle = handle = next(operators.counter)
        try:
            root = self._root
        except AttributeError:
            root = self._root = None
        if root is None:
            made._root, made._shift = self, 0
        else:
            made._root, made._shift = root, self._shift
        extend((head, handle, self._handle, 0))
        if GATE.is_behind:
            session.flush()
        return made  # type: ignore[no-any-return]

    @property
    def mT(self) -> Any:
        """View with the last two axes swapped."""
        if self.ndim < 2:
            raise ValueError("matrix transpose with ndim < 2 is undefined")
        return self.swapaxes(-1, -2)

    @property
    def flat(self) -> Any:
        """One-dimensional iterator."""
        from .flatiter import flatiter

        return flatiter(self)

    @property
    def real(self) -> Any:
        """Real part: a view of complex arrays, else the array itself."""
        from . import views

        return views.real(self) if self.dtype.kind == "c" else self

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Any:
        """Imaginary part: a view of complex arrays, else zeros."""
        from . import create, views

        return views.imag(self) if self.dtype.kind == "c" else create.zeros_like(self)

    @imag.setter
    def imag(self, value: Any) -> None:
        if self.dtype.kind != "c":
            raise TypeError("cupy.ndarray does not have imaginary part to set")
        self.imag[...] = value

    def transpose(self, *axes: Any) -> Any:
        """View with axes permuted."""
        from . import views

        return views.transpose(self, axes)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        """View with two axes swapped."""
        from . import views

        return views.on_shadow(self, lambda s: s.swapaxes(axis1, axis2))

    def squeeze(self, axis: Any = None) -> Any:
        """View without axes of length one."""
        from . import views

        return views.on_shadow(self, lambda s: s.squeeze(axis))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """View of a diagonal."""
        from . import views

        return views.on_shadow(self, lambda s: s.diagonal(offset, axis1, axis2))

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        """The same elements in another shape: a view where the memory allows it."""
        if order == "C" and copy is None:
            try:
                head, spec = views.RESHAPED[self._spec][shape]  # see Note [Hot tables]
            except (KeyError, TypeError):
                pass
            else:
                made = operators.blank()
                made._spec = spec
                made._handle = handle = next(operators.counter)
                try:
                    root = self._root
                except AttributeError:
                    root = self._root = None
                if root is None:
                    made._root, made._shift = self, 0
                else:
                    made._root, made._shift = root, self._shift
                extend((head, handle, self._handle, 0))
                if GATE.is_behind:
                    session.flush()
                return made
        given = shape
        if len(shape) == 1:
            first = shape[0]
            if type(first) is tuple:
                shape = first
            elif type(first) is not int and (isinstance(first, (tuple, list)) or np.iterable(first)):
                shape = tuple(first)
        return views.reshape(self, shape, order, copy, given)

    def ravel(self, order: str = "C") -> Any:
        """One-dimensional, a view where the memory allows it."""
        if order == "C" and self._spec is not None and self._spec.c_contiguous:
            return self.reshape(-1)
        return views.ravel(self, order)

    def view(self, dtype: Any = None, type: Any = None) -> Any:
        """The same memory as another dtype or another array class."""
        from . import views

        return views.view_as(self, dtype, type)

    def reduced_view(self, dtype: Any = None) -> Any:
        """View with as few dimensions as the strides allow."""
        from . import views

        return views.reduced(self) if dtype is None else views.reduced(self).view(dtype)

    # -- indexing -------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        """Replaced below by the function itself: a call less."""
        return indexing.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        indexing.setitem(self, key, value)

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            raise TypeError("len() of unsized object")
        return shape[0]

    def __iter__(self) -> Iterator[Any]:
        shape = self.shape
        if not shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(shape[0]))

    def conj(self) -> Any:
        """Complex conjugate; the array itself unless complex."""
        return functions.conjugate(self) if self.dtype.kind == "c" else self

    conjugate = conj

    def compress(self, condition: Any, axis: Any = None, out: Any = None) -> Any:
        """The slices where the condition holds."""
        return functions.compress(condition, self, axis, out)

    def fill(self, value: Any) -> None:
        """Set every element to a scalar, of the host or a 0-d array."""
        indexing.fill(self, value)

    def scatter_add(self, slices: Any, value: Any) -> None:
        """Deprecated: `cupy.add.at`."""
        _scatter(self, slices, value, "add", "add")

    def scatter_max(self, slices: Any, value: Any) -> None:
        """Deprecated: `cupy.maximum.at`."""
        _scatter(self, slices, value, "max", "maximum")

    def scatter_min(self, slices: Any, value: Any) -> None:
        """Deprecated: `cupy.minimum.at`."""
        _scatter(self, slices, value, "min", "minimum")

    # -- copies and conversion --------------------------------------------------------------------------------------------

    def astype(
        self, dtype: Any, order: str | None = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> Any:
        """A copy (or, with copy=False, the array itself where it fits) of another dtype."""
        from . import create

        if casting is not None:
            raise TypeError("casting is not supported yet")
        if subok is not None:
            raise TypeError("subok is not supported yet")
        return create.astype(self, dtype, order, True if copy else None)

    def mdspan(self, *, index_type: Any, allow_unsafe: bool = False) -> Any:
        """A description of this array for a RawKernel's parameter of type `cuda::std::mdspan`."""
        from .kernels import mdspan

        return mdspan.of(self, index_type, allow_unsafe)

    def copy(self, order: str | None = "C") -> Any:
        """A copy on the device."""
        return dispatch.call(_ROW_COPY, (self, "K" if order is None else str(order).upper()))

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray[Any, Any]:
        """A copy in host memory. Waits, whatever `blocking` says: the bytes come over a network."""
        return convert.get(self, stream, order, out)

    def set(self, arr: Any, stream: Any = None) -> None:
        """Copy a host array of the same shape and dtype into this one."""
        convert.set_array(self, arr, stream)

    def item(self) -> Any:
        """The element of an array of size one."""
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        """As nested Python lists."""
        return self.get().tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        """The elements' bytes."""
        return self.get().tobytes(order)

    def tofile(self, fid: Any, sep: str = "", format: str = "%s") -> None:  # NumPy's name
        """Write to a file on this machine."""
        self.get().tofile(fid, sep, format)

    def dump(self, file: Any) -> None:
        """Write a pickle to a file object."""
        import pickle

        pickle.dump(self, file, -1)

    def dumps(self) -> bytes:
        """A pickle."""
        import pickle

        return pickle.dumps(self, -1)

    def __reduce__(self) -> Any:
        return _from_host, (self.get(order="A"), type(self) if type(self) is not ndarray else None)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __bool__(self) -> bool:
        return convert.truth(self)

    def __int__(self) -> int:
        return int(convert.fetch(self))

    def __float__(self) -> float:
        return float(convert.fetch(self))

    def __complex__(self) -> complex:
        return complex(convert.fetch(self))

    def __bytes__(self) -> bytes:
        return bytes(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, format_spec: str) -> str:
        return format(self.get(), format_spec)

    def __class_getitem__(cls, item: Any) -> GenericAlias:
        one, two = item
        return GenericAlias(ndarray, (one, two))

    # -- protocols ------------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return protocols.array_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return protocols.array_function(func, types, args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return protocols.array_namespace(api_version)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return protocols.cuda_array_interface(self)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        from . import dlpack

        return dlpack.export(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)  # CUDA's device 0, see Note [Capsules]

    def toDlpack(self) -> Any:
        """Deprecated: `__dlpack__`."""
        text = "`toDlpack` is deprecated. Use the DLPack protocol (`cupy.from_dlpack`) instead."
        warnings.warn(text, np.exceptions.VisibleDeprecationWarning, stacklevel=2)
        return self.__dlpack__()


def _scatter(a: ndarray, slices: Any, value: Any, method: str, name: str) -> None:
    text = f"`ndarray.scatter_{method}` is deprecated. Please use `cupy.{name}.at` instead."
    warnings.warn(text, DeprecationWarning, stacklevel=3)
    indexing.scatter(a, slices, value, name)


def new_array(handle: int, spec: Spec | None, base: ndarray | None = None, offset: int = 0, probe: Any = None) -> Any:
    """An array around a handle that a command has promised. `spec` None: pending."""
    a: ndarray = _new(ndarray)
    a._handle = handle
    a._spec = spec
    if spec is None:
        a._probe = probe
    if base is not None:
        a._root, a._shift = base, offset
    return a


def cast_class(a: ndarray, cls: Any, obj: Any = None) -> Any:
    """The same array (same handle, taken over) as an instance of a subclass.

    A subclass's arrays have a spec object of their own, so that they never hit a hot table; see Note [Hot tables].
    """
    if cls is ndarray:
        return a
    made = _new(cls)
    made._handle = a._handle
    del a._handle  # its destructor then frees nothing
    made._spec = a._spec and twin(a._spec)
    if a._spec is None:
        made._probe = a._probe
    if a._base is not None:
        made._root, made._shift = a._root, a._shift
    if hasattr(a, "_place"):
        made._place = a._place
    made.__array_finalize__(obj)
    return made


def twin(spec: Spec) -> Spec:
    """An equal spec that is not the interned one."""
    known = spec.cache("twin")
    if "twin" not in known:
        known["twin"] = Spec(spec.shape, spec.dtype, spec.strides)
    return known["twin"]  # type: ignore[no-any-return]


def _from_host(host: Any, cls: Any = None) -> Any:
    """Unpickling: onto this process's device, keeping the order of the axes in memory."""
    a = convert.array(host)
    return a if cls is None else a.view(cls)


def _forget_session() -> None:
    """Arrays of the session that ended keep their specs, new ones get others, so no cache mixes them."""
    forget_all()
    dispatch.clear()
    operators.clear()
    forms.forget_unrepeatable()


def _after_fork() -> None:
    # A thread that is not here may have held them.
    _resolving[0] = threading.RLock()
    streams.reset_lock()
    operators.reset_lock()
    births.reset_lock()
    captures.forget()
    _forget_session()
    _rebind()


def _rebind() -> None:
    dispatch.mint = ids.minter()
    operators.bind(ndarray, ids.counter())


def _limit_memory() -> None:
    """CUPY_GPU_MEMORY_LIMIT holds for each session's pool."""
    if os.environ.get("CUPY_GPU_MEMORY_LIMIT"):
        from .cupy.cuda._pool import default_pool, parse_limit

        default_pool().set_limit(**parse_limit())


session.on_open.append(_limit_memory)
os.register_at_fork(after_in_child=_after_fork)
session.on_change.append(_forget_session)
dispatch.ndarray = keys.ndarray = ndarray
dispatch.new_array = new_array
dispatch.ARRAYS.add(ndarray)
keys.register_array_class(ndarray)
_rebind()

from . import convert, indexing, protocols, views  # noqa: E402 - they need the class

indexing.ndarray = ndarray
ndarray.__getitem__ = indexing.getitem  # type: ignore[method-assign]

__all__ = ["cast_class", "ndarray", "new_array", "spec_of"]
