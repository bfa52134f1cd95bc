"""Rows of the op table by name, looked up when something beside the name is asked: importing the shim must not make all rows."""

from __future__ import annotations

from typing import Any


class LazyRow:
    """Stands for the row of a name until it is needed."""

    __slots__ = ("_row", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._row: Any = None

    def resolve(self) -> Any:
        """The row itself."""
        if self._row is None:
            from cupool.contract.ops import row

            self._row = row(self.name)
        return self._row

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.resolve(), attribute)

    def __repr__(self) -> str:
        return f"LazyRow({self.name!r})"


class _Rows:
    def __getitem__(self, name: str) -> Any:
        return LazyRow(name)


ROWS = _Rows()
