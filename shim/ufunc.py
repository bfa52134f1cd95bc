"""`cupy.ufunc`: callable rows of the ufunc family, with CuPy's attributes and methods."""

from __future__ import annotations

from typing import Any


class ufunc:  # noqa: N801 - CuPy's name
    """An elementwise function. One instance per row, made by the generated module: `add = ufunc(_add, 2, 1, ("??->?", …))`."""

    __slots__ = ("__doc__", "_row", "_types", "name", "nargs", "nin", "nout")

    def __init__(self, row: Any, nin: int, nout: int, types: tuple[str, ...]) -> None:
        self._row = row
        self.name = f"cupy_{row.name}"
        self.nin = nin
        self.nout = nout
        self.nargs = nin + nout
        self._types = types
        self.__doc__ = row.note or None

    @property
    def types(self) -> list[str]:
        """The loops, as CuPy lists them."""
        return list(self._types)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        raise NotImplementedError

    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False, initial: Any = None,
        where: Any = True,
    ) -> Any:  # fmt: skip
        raise NotImplementedError

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        raise NotImplementedError

    def reduceat(self, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        raise NotImplementedError

    def outer(self, A: Any, B: Any, **kwargs: Any) -> Any:  # noqa: N803 - NumPy's names
        raise NotImplementedError
