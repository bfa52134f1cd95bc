"""Files and text: NumPy on the client. Writing downloads, reading uploads."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np

from ..convert import array, asnumpy
from ..local import as_numpys

base_repr = as_numpys(np.base_repr)
binary_repr = as_numpys(np.binary_repr)


class NpzFile:
    """As `cupy.load` of an .npz file: each array is uploaded when it is looked up."""

    def __init__(self, npz_file: Any) -> None:
        self.npz_file = npz_file

    def __enter__(self) -> Self:
        self.npz_file.__enter__()
        return self

    def __exit__(
        self, typ: type[BaseException] | None, val: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.npz_file.__exit__(typ, val, traceback)

    def __getitem__(self, key: str) -> Any:
        return array(self.npz_file[key])

    def close(self) -> None:
        """Close the file."""
        self.npz_file.close()


def load(file: Any, mmap_mode: Any = None, allow_pickle: bool | None = None) -> Any:
    """As `cupy.load`. Pickles are read only when asked for."""
    loaded = np.load(file, mmap_mode, bool(allow_pickle))
    if isinstance(loaded, np.ndarray):
        return array(loaded)
    return NpzFile(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded


def save(file: Any, arr: Any, allow_pickle: bool | None = None) -> None:
    """As `cupy.save`."""
    np.save(file, asnumpy(arr), True if allow_pickle is None else allow_pickle)


def savez(file: Any, *args: Any, **kwds: Any) -> None:
    """As `cupy.savez`."""
    np.savez(file, *map(asnumpy, args), **{key: asnumpy(value) for key, value in kwds.items()})


def savez_compressed(file: Any, *args: Any, **kwds: Any) -> None:
    """As `cupy.savez_compressed`."""
    np.savez_compressed(file, *map(asnumpy, args), **{key: asnumpy(value) for key, value in kwds.items()})


def savetxt(fname: Any, X: Any, *args: Any, **kwargs: Any) -> None:
    """As `cupy.savetxt`."""
    np.savetxt(fname, asnumpy(X), *args, **kwargs)


def array_repr(arr: Any, max_line_width: Any = None, precision: Any = None, suppress_small: Any = None) -> str:
    """As `cupy.array_repr`."""
    return np.array_repr(asnumpy(arr), max_line_width, precision, suppress_small)


def array_str(arr: Any, max_line_width: Any = None, precision: Any = None, suppress_small: Any = None) -> str:
    """As `cupy.array_str`."""
    return np.array_str(asnumpy(arr), max_line_width, precision, suppress_small)


def array2string(a: Any, *args: Any, **kwargs: Any) -> str:
    """As `cupy.array2string`."""
    return np.array2string(asnumpy(a), *args, **kwargs)


def format_float_positional(x: Any, *args: Any, **kwargs: Any) -> str:
    """As `cupy.format_float_positional`."""
    return np.format_float_positional(asnumpy(x), *args, **kwargs)


def format_float_scientific(x: Any, *args: Any, **kwargs: Any) -> str:
    """As `cupy.format_float_scientific`."""
    return np.format_float_scientific(asnumpy(x), *args, **kwargs)
