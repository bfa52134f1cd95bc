"""`ndarray.flags`."""

from __future__ import annotations

from typing import Any

_NAMES = {"C_CONTIGUOUS": "c_contiguous", "F_CONTIGUOUS": "f_contiguous", "OWNDATA": "owndata"}


class Flags:
    """Contiguity and ownership of an array, by attribute or by name as NumPy writes it."""

    __slots__ = (
        "__dict__",
        "c_contiguous",
        "f_contiguous",
        "owndata",
    )  # anything else may be set, and changes nothing, as in CuPy

    def __init__(self, c_contiguous: bool, f_contiguous: bool, owndata: bool) -> None:
        self.c_contiguous = c_contiguous
        self.f_contiguous = f_contiguous
        self.owndata = owndata

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, name):
            raise AttributeError(f"attribute {name!r} of the flags is not writable")
        object.__setattr__(self, name, value)

    @property
    def fnc(self) -> bool:
        """Fortran-contiguous and not C-contiguous."""
        return self.f_contiguous and not self.c_contiguous

    @property
    def forc(self) -> bool:
        """Contiguous in either order."""
        return self.f_contiguous or self.c_contiguous

    def __getitem__(self, name: str) -> bool:
        if name not in _NAMES:
            raise KeyError(f"{name} is not defined for cupy.ndarray.flags")
        return getattr(self, _NAMES[name])  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return "\n".join(f"  {name} : {self[name]}" for name in _NAMES)
