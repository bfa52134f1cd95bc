"""Pickles functions and their arguments for `cupool.offload`, with cloudpickle. Imported at the first offloaded call.

What belongs to the shim goes by its public name (`cupy.linalg.svd`), so that it is the device's own on the server. Arrays in arguments
go by number (the server has them); arrays that a function refers to go by value, as they are at its first call.
"""

from __future__ import annotations

import io
import sys
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from cupool.contract import offload as contract

from .array import ndarray
from .naming import public_name
from .objects import RemoteObject
from .offload import Offloaded

_SHIM = f"{__package__}."
_TOPS = ("cupy", "cupyx")


def _is_ours(value: Any) -> bool:
    """Whether a function or class is the shim's."""
    module = getattr(value, "__module__", None) or ""
    return module.startswith(_SHIM) or module.partition(".")[0] in _TOPS


def _module_name(module: ModuleType) -> str:
    """The public name of a module of the shim's; "" for any other."""
    name = module.__name__
    return name if name.partition(".")[0] in _TOPS else public_name(name)


def _public(value: Any) -> tuple[str, str] | None:
    """(module, name) under which a program finds something of the shim's: a function, a class, a ufunc."""
    own = str(getattr(value, "__module__", ""))
    names = [own, _SHIM + own, *sorted(m for m in list(sys.modules) if m.startswith(_SHIM))]
    for module in [sys.modules[name] for name in names if name in sys.modules]:
        public = _module_name(module)
        if public:
            for name, found in list(vars(module).items()):
                if found is value and name[0] != "_":
                    return public, name
    return None


class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """One pickle. `arrays` collects the device arrays met, by number; None: they go by value."""

    def __init__(self, file: Any, arrays: list[Any] | None) -> None:
        super().__init__(file, protocol=5)
        self._arrays = arrays
        self._numbers: dict[int, int] = {}

    def persistent_id(self, value: Any) -> int | None:
        if self._arrays is None or not isinstance(value, ndarray):
            return None
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._arrays)
            self._arrays.append(value)
        return number

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, ndarray):
            return contract.captured, (value.get(),)
        if isinstance(value, ModuleType):
            name = _module_name(value)
            if name:
                return contract.named, (name, "")
        elif isinstance(value, Offloaded):
            return value.__reduce__()
        elif isinstance(value, RemoteObject) or _is_ours(
            value if isinstance(value, (FunctionType, type)) else type(value)
        ):
            found = _public(value)
            if found is not None:
                return contract.named, found
            if isinstance(value, (FunctionType, type)):
                return super().reducer_override(value)
            kind = type(value)
            raise TypeError(
                f"A {kind.__module__}.{kind.__qualname__} cannot be handed to an offloaded function. "
                "Hand over arrays and make the object from them inside the function."
            )
        return super().reducer_override(value)


def dump(value: Any, arrays: list[Any] | None) -> bytes:
    """The pickle of a value. Raises TypeError or pickle.PicklingError for what cannot be pickled."""
    file = io.BytesIO()
    Pickler(file, arrays).dump(value)
    return file.getvalue()


def dump_function(function: Any) -> bytes:
    """The pickle of a function, with all that it uses of its own module: the server does not have that."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if (
        module is None
        or module.__name__ == "__main__"
        or module.__name__ in cloudpickle.list_registry_pickle_by_value()
    ):
        return dump(function, None)
    cloudpickle.register_pickle_by_value(module)
    try:
        return dump(function, None)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
