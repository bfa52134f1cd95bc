"""The namespaces from outside, held against what the real CuPy says of itself: `dir`, signatures, names, `help`, reprs."""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import pydoc
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from cupool.shim import cupy, cupyx
from cupool.shim.finder import uninstall

import cupool

DATA = Path(__file__).resolve().parents[2] / "tools" / "data"
API = json.loads((DATA / "cupy_api.json").read_text())
RECORD = json.loads((DATA / "cupy_record.json").read_text())
MODULES = sorted(entry["name"] for entry in API if entry["kind"] == "module")

#: Signatures that say the same in other words.
REWORDED = {
    "einsum": "CuPy takes `dtype` and `optimize` out of **kwargs",
    "matmul": "CuPy's is a generalised ufunc: `*args` are x1 and x2",
    "linalg.matmul": "as matmul",
    "prod": "the method's `keepdims` is None in CuPy, which means False",
}


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    """Public names lead to the shim while this file runs, and not in other tests."""
    cupool.install()
    yield
    uninstall()


def module_of(name: str) -> Any:
    return importlib.import_module(name)


def signature(value: Any) -> str:
    """As tools/record_cupy.py writes it."""
    text = re.sub(r" -> .*$", "", str(inspect.signature(value)))
    text = re.sub(r"(\w+): '[^']*'", r"\1", text)
    text = re.sub(r"<class '(?:numpy\.)?(\w+)'>", r"\1", text)
    return re.sub(r" = ", "=", text)


@pytest.mark.parametrize("name", MODULES)
def test_dir_is_cupys(name: str) -> None:
    module = module_of(name)
    if type(module).__name__ == "MissingModule":
        pytest.skip("a module without code lists nothing")
    listed = {e["name"].rpartition(".")[2] for e in API if e["name"].rpartition(".")[0] == name}
    theirs = {n for n in listed if not n.startswith("_")}
    ours = {n for n in dir(module) if not n.startswith("_")}
    assert ours - theirs <= {"lib"}, "names that CuPy does not list"
    assert not theirs - ours, "names that CuPy lists"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in ours:
            getattr(module, each)  # what is listed is there, if only to say why it is not supported


def test_names_of_modules() -> None:
    assert (cupy.__name__, cupy.__version__) == ("cupy", RECORD["cupy"])
    for name in ("cupy", "cupy.linalg", "cupy.random", "cupy.cuda.runtime", "cupyx.jit", "cupyx.scipy.sparse.linalg"):
        module = module_of(name)
        assert (module.__name__, module.__spec__.name) == (name, name)
        assert repr(module).startswith(f"<module '{name}' from ")
    assert cupy.random is module_of("cupy.random") is module_of("cupool.shim.cupy.random")
    assert module_of("cupy.random._generator").__name__ == "cupool.shim.cupy.random._generator"


def test_modules_have_their_own_names_where_no_one_imports_them_as_cupy() -> None:
    uninstall()
    try:
        assert module_of("cupool.shim.cupy.random").__name__ == "cupool.shim.cupy.random"
        assert (cupy.__name__, cupy.__spec__.name) == ("cupy", "cupool.shim.cupy")
    finally:
        cupool.install()
    assert module_of("cupool.shim.cupy.random").__name__ == "cupy.random"


@pytest.mark.parametrize("full", sorted(RECORD["signatures"]))
def test_signatures_are_cupys(full: str) -> None:
    path, _, name = full.rpartition(".")
    owner = module_of(path if path.startswith("cupyx") else f"cupy.{path}".rstrip("."))
    value = getattr(owner, name)
    if full in REWORDED or type(owner).__name__ == "MissingModule" or getattr(value, "__code__", None) is None:
        return
    if value.__code__.co_name == "refuse" or "Not supported" in (value.__doc__ or ""):
        return
    assert signature(value) == RECORD["signatures"][full]


@pytest.mark.parametrize("name", sorted(RECORD["methods"]))
def test_signatures_of_methods_are_cupys(name: str) -> None:
    if name in REWORDED:
        return
    assert signature(getattr(cupy.ndarray, name)) == RECORD["methods"][name]


@pytest.mark.parametrize("name", [m for m in MODULES if not m.startswith("cupyx.jit")])
def test_functions_and_classes_are_their_public_modules(name: str) -> None:
    """Whose they say they are is where they are found: pickles and `type(x).__module__` go by that."""
    module = module_of(name)
    if type(module).__name__ == "MissingModule":
        pytest.skip("a module without code")
    for attribute, value in sorted(vars(module).items()):
        if attribute.startswith("_") or not isinstance(value, FunctionType | type):
            continue
        home = value.__module__
        assert not home.startswith("cupool.shim"), f"{name}.{attribute} says {home}"
        if home.startswith("cupy") and "<" not in value.__qualname__ and "._" not in home:
            owner: Any = module_of(home)
            assert getattr(owner, value.__name__, None) is not None, (
                f"{name}.{attribute}: {home} has no {value.__name__}"
            )


@pytest.mark.parametrize("name", sorted(RECORD["ufuncs"]))
def test_ufuncs_have_cupys_names_and_loops(name: str) -> None:
    if name.startswith("@"):
        return
    path, _, attribute = name.rpartition(".")
    value = getattr(module_of(path if path.startswith("cupyx") else f"cupy.{path}".rstrip(".")), attribute)
    entry = RECORD["ufuncs"][name]
    assert (value.name, value.__name__, value.nin, value.nout) == (
        entry["name"],
        entry["name"],
        entry["nin"],
        entry["nout"],
    )
    assert value.types == entry["loops"].replace("!", "").split()
    assert repr(value) == f"<ufunc '{entry['name']}'>"
    assert pickle.loads(pickle.dumps(value)) is value


def test_pickles_refer_to_functions_by_their_public_place() -> None:
    for value in (
        cupy.sum,
        cupy.linalg.svd,
        cupy.random.rand,
        cupyx.scipy.special.logsumexp,
        cupyx.scatter_add,
        cupy.ndarray,
    ):
        text = pickle.dumps(value)
        assert b"cupool" not in text
        assert pickle.loads(text) is value


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("cupy.sum", "sum(a, axis=None, dtype=None, out=None, keepdims=False)"),
        ("cupy.linalg.svd", "svd(a, full_matrices=True, compute_uv=True)"),
        ("cupyx.scipy.special.softmax", "softmax(x, axis=None)"),
    ],
)
def test_help_says_whose_and_how(path: str, line: str) -> None:
    owner, _, name = path.rpartition(".")
    value = getattr(module_of(owner), name)
    text = pydoc.plain(pydoc.render_doc(value))
    assert value.__module__ == owner
    assert line in text
    assert f"As `{path}`" in text


def test_classes_show_as_cupys() -> None:
    assert repr(cupy.ndarray) == "<class 'cupy.ndarray'>"
    assert repr(cupy.cuda.Stream) == "<class 'cupy.cuda.stream.Stream'>"
    assert repr(cupy.cuda.MemoryPool) == "<class 'cupy.cuda.memory.MemoryPool'>"
    for cls in (cupy.random.Generator, cupy.random.RandomState, cupy.ufunc, cupy.RawKernel, cupyx.scipy.spatial.KDTree):
        assert cls.__module__.partition(".")[0] in ("cupy", "cupyx")
    assert repr(cupy.cuda.Device(0)) == "<CUDA Device 0>"
    assert repr(cupy.cuda.Stream.null) == "<Stream 0 (device -1)>"


def test_dtypes_and_exceptions_are_numpys() -> None:
    assert cupy.float32 is np.float32
    assert cupy.exceptions.AxisError is np.exceptions.AxisError
    assert cupy.linalg.LinAlgError is np.linalg.LinAlgError


def test_an_unknown_name_is_an_attribute_error_of_cupys() -> None:
    for module in (cupy, cupy.linalg, cupyx, cupyx.scipy.special):
        assert isinstance(module, ModuleType)
        with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
            module.no_such_name  # noqa: B018
