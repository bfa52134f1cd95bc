"""Names of the op table on a GPU's server whose CuPy, or whose CUDA, lacks something: that is said, and the rest works."""

from __future__ import annotations

import importlib.util
import types
from typing import Any

import fakecupy
import pytest


class Lazy(types.ModuleType):
    """A package that looks for its library when it is looked at, as `cupyx.scipy.linalg` does."""

    def __getattr__(self, name: str) -> Any:
        raise ImportError('Failure finding "libcublasLt.so.12"')


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The CUDA device's module, with its own `names.resolve`."""
    device = fakecupy.install(monkeypatch)
    found = importlib.util.find_spec(device.names.__name__)
    assert found is not None and found.loader is not None
    names = importlib.util.module_from_spec(found)
    found.loader.exec_module(names)
    monkeypatch.setattr(device, "names", names)
    return device


def test_what_needs_a_library_that_is_not_there_is_missing_and_says_which(
    device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device.names, "cupyx", Lazy("cupyx"))
    with pytest.raises(KeyError, match="libcublasLt"):
        device.names.resolve("cupyx.scipy.linalg.lu")
    missing = device.CudaDevice(0, 1 << 20).missing()
    assert "is not on this server (Failure finding" in missing["cupyx.scipy.linalg.lu"]
    assert "add" not in missing


def test_what_this_cupy_has_not_is_missing_and_wants_another_one(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        device.names, "_member", lambda owner, name: None if name == "add" else getattr(owner, name, None)
    )
    with pytest.raises(KeyError):
        device.names.resolve("add")
    assert "has no add; upgrade CuPy there" in device.CudaDevice(0, 1 << 20).missing()["add"]
