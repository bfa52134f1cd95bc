"""Modules that are the public side's under another name: real CuPy keeps those modules here. Setting a name sets it there."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_PACKAGE = f"{(__package__ or '').rpartition('.')[0]}.cupy.cuda"


class Forwarding(ModuleType):
    """A module whose public names are another module's."""

    def _target(self) -> ModuleType:
        return importlib.import_module(f"{_PACKAGE}.{self.__name__.rpartition('.')[2]}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self._target(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Submodules and what the import system sets stay here.
        if name.startswith("__") or isinstance(value, ModuleType):
            super().__setattr__(name, value)
        else:
            setattr(self._target(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._target(), name)

    def __dir__(self) -> list[str]:
        return dir(self._target())


def forward(name: str) -> None:
    """Make the module `name` give what `cupy.cuda`'s module of the same last name has."""
    sys.modules[name].__class__ = Forwarding
