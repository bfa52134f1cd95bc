"""Every public CuPy name is accounted for, both ways: it is there, or it is refused with a reason; and never both."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from cupool.contract.errors import Unsupported
from cupool.contract.ops import TABLE, refusals

ROOT = Path(__file__).resolve().parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_tool", ROOT / "tools" / "coverage.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["coverage_tool"] = module
    spec.loader.exec_module(module)
    return module


COVERAGE = tool()
ACCOUNT = COVERAGE.account()


def test_every_name_that_is_not_there_has_a_reason() -> None:
    without = [n.full for n in ACCOUNT.unsupported.values() if n.kind != "module" and not refusals.reason(n.name)]
    assert not without, without[:20]


def test_no_name_that_is_there_is_refused() -> None:
    both = [n.full for n in ACCOUNT.supported.values() if n.kind != "module" and n.name in refusals.names()]
    assert not both, both[:20]


def test_refused_names_are_cupys() -> None:
    known = {n.name for n in COVERAGE.public_names()}
    invented = sorted(refusals.names() - known)
    assert not invented, invented[:20]


def test_supported_rows_are_in_the_namespace() -> None:
    known = {n.name: n for n in COVERAGE.public_names()}
    missing = [
        row.name for row in TABLE.values()
        if not row.unsupported and row.name in known and known[row.name].full not in ACCOUNT.supported
    ]  # fmt: skip
    assert not missing, missing


def test_every_group_has_names() -> None:
    names = [n.name for n in ACCOUNT.unsupported.values()]
    general = {"", "cuda", "cupyx"}
    used = {n[:i] for n in names for i in range(1, len(n) + 1) if i == len(n) or n[i] == "."}
    idle = [prefix for prefix in refusals.GROUPS if prefix not in general | used]
    assert not idle, f"groups of nothing: {idle}"


def test_no_name_is_refused_for_no_reason() -> None:
    vague = [
        n.name
        for n in ACCOUNT.unsupported.values()
        if n.kind != "module" and refusals.group_reason(n.name) == "not carried yet"
    ]
    assert not vague, vague[:20]


def test_refused_names_raise_their_reason_when_used() -> None:
    """A sample of what is in modules without code."""
    modules = refusals.modules()
    paths = {n: n if n.startswith("cupyx") else f"cupy.{n}" for n in sorted(refusals.names() - modules)}
    names = [path for n, path in paths.items() if n.rpartition(".")[0] in modules and n.count(".") == 2]
    for name in names[:: max(1, len(names) // 40)]:
        module, _, attribute = name.rpartition(".")
        owner = importlib.import_module(f"cupool.shim.{module}")
        with pytest.raises(Unsupported, match="is not supported: "):
            getattr(owner, attribute)()


def test_a_name_that_cupy_does_not_have_is_an_attribute_error() -> None:
    import cupool.shim.cupy as cupy

    with pytest.raises(AttributeError, match="has no attribute"):
        cupy.no_such_function  # noqa: B018
    assert refusals.row("no_such_function") is None
    assert refusals.row("cuda.cublas.no_such_function") is None


def test_the_coverage_page_is_fresh() -> None:
    assert COVERAGE.PAGE.read_text(encoding="utf-8") == COVERAGE.page(ACCOUNT), "run `python tools/coverage.py --write`"
    assert COVERAGE.NAMES.read_text(encoding="utf-8") == COVERAGE.names_module(ACCOUNT), (
        "run `python tools/coverage.py --write`"
    )
