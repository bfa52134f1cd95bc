"""C++ types of the values in a translated function. Pure.

Two types are the same when they are spelled the same and, for scalars, when their dtypes are equal: `float16` scalars are `float` in
the code, and remain half precision to the typing rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import cpp


class CType:
    """A type. `spelling` is the C++."""

    spelling = ""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.spelling == other.spelling  # pyright: ignore

    def __hash__(self) -> int:
        return hash(self.spelling)

    def __str__(self) -> str:
        return self.spelling

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def declare(self, name: str) -> str:
        """The declaration of a variable."""
        return f"{self.spelling} {name}"

    def stored(self, code: str) -> str:
        """A value of this type as it is written into a variable or an element."""
        return code


class Void(CType):
    spelling = "void"


class Scalar(CType):
    """A number. `dtype` decides, `spelling` follows: half precision is computed in `float`."""

    def __init__(self, dtype: Any) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        spelling = cpp.c_type(self.dtype)
        self.spelling = "float" if spelling in ("float16", "bfloat16") else spelling

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scalar) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)


class Element(Scalar):
    """A number where it lies in memory: half precision is stored as such."""

    def __init__(self, dtype: Any) -> None:
        super().__init__(dtype)
        self.storage = cpp.c_type(self.dtype)

    @property
    def is_short(self) -> bool:
        """Whether reading it is a conversion."""
        return self.storage != self.spelling

    def stored(self, code: str) -> str:
        return f"({self.storage})({code})" if self.is_short else code


class Indexable(CType):
    """An array or a pointer. `element` is what an index leads to."""

    ndim = 1
    element: CType


class Array(Indexable):
    """A `cupy.ndarray`, passed as CuPy passes one: address, size, shape, strides."""

    def __init__(self, dtype: Any, ndim: int, is_contiguous: bool) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.ndim = ndim
        self.is_contiguous = is_contiguous
        self.element = Element(self.dtype)
        self.spelling = f"cupool_array<{self.element.storage}, {ndim}, {str(is_contiguous).lower()}>"

    def drop(self, dims: int) -> Array:
        """What remains when the first `dims` dimensions have an index."""
        return Array(self.dtype, self.ndim - dims, self.is_contiguous)


class Pointer(Indexable):
    """The address of elements: shared memory."""

    def __init__(self, element: CType) -> None:
        self.element = element
        self.spelling = f"{element.spelling}*"


class Shared(Indexable):
    """Shared memory as it is declared; `size` None: dynamic."""

    def __init__(self, element: CType, size: int | None, alignment: int | None) -> None:
        for what, value in (("size", size), ("alignment", alignment)):
            if value is not None and not isinstance(value, int):
                raise TypeError(f"{what} of shared_memory must be an integer or None")
        self.element, self.size, self.alignment = element, size, alignment
        self.spelling = f"{element.spelling}*"

    def declare(self, name: str) -> str:
        aligned = "" if self.alignment is None else f"__align__({self.alignment}) "
        if self.size is None:
            return f"extern {aligned}__shared__ {self.element} {name}[]"
        return f"{aligned}__shared__ {self.element} {name}[{self.size}]"


class Tuple(CType):
    """Several values. A struct of its own for each sequence of types."""

    def __init__(self, items: Sequence[CType]) -> None:
        self.items = tuple(items)
        self.spelling = f"cupool_tuple_{len(self.items)}<{', '.join(map(str, self.items))}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tuple) and self.items == other.items

    def __hash__(self) -> int:
        return hash(self.items)


class Dim3(CType):
    spelling = "dim3"


class Opaque(CType):
    """A type that only its own methods know: a cooperative group, a class of CUB.

    Attributes:
        can_be_written: a variable of it may be declared first and written later.
    """

    can_be_written = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling


VOID, DIM3 = Void(), Dim3()
BOOL, INT32, UINT32, INT64 = Scalar(np.bool_), Scalar(np.int32), Scalar(np.uint32), Scalar("q")


def of_scalar(mode: str, value: Any) -> Scalar:
    """The type of a Python or NumPy number: in the mode 'cuda' Python's are 32 bits wide where they fit, in 'numpy' 64."""
    if isinstance(value, np.generic):
        return Scalar(value.dtype)
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT32 if mode == "cuda" and -(1 << 31) <= value < 1 << 31 else Scalar(np.int64)
    if isinstance(value, float):
        return Scalar(np.float32 if mode == "cuda" else np.float64)
    if isinstance(value, complex):
        return Scalar(np.complex64 if mode == "cuda" else np.complex128)
    raise NotImplementedError(f"{value!r} is not a number")


_SUFFIXES = {"f": "f", "d": "", "i": "", "I": "u", "l": "ll", "L": "ull", "q": "ll", "Q": "ull"}


def literal(value: Any, kind: Scalar) -> str:
    """A constant in C++."""
    dtype = kind.dtype
    if dtype.kind == "c":
        part = Scalar(np.float32 if dtype.char == "F" else np.float64)
        return f"{kind}({literal(value.real, part)}, {literal(value.imag, part)})"
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind in "iu":
        number = int(value)
        if dtype.char in _SUFFIXES:
            suffix = _SUFFIXES[dtype.char]
            # The most negative number has no literal of its own.
            least = -(1 << (8 * dtype.itemsize - 1))
            return (
                f"({number + 1}{suffix} - 1)"
                if number == least
                else f"({number}{suffix})"
                if number < 0
                else f"{number}{suffix}"
            )
        return f"({kind})({number})"
    real = float(value)
    single = dtype.char != "d"
    if real != real:
        return 'nanf("")' if single else 'nan("")'
    if real in (float("inf"), float("-inf")):
        bits = "__int_as_float(0x7f800000)" if single else "__longlong_as_double(0x7ff0000000000000ll)"
        return f"(-{bits})" if real < 0 else bits
    text = str(np.float32(real)) if single else repr(real)
    if "e" not in text and "." not in text:
        text += ".0"
    text += "f" if single else ""
    return f"({text})" if real < 0 or text[0] == "-" else text
