"""The table as a whole: complete both ways, consistent with its record, its generated code fresh, its import cheap."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu import ops

from cupool.contract.ops import CLIENT, LOCAL, TABLE, call_arguments, parameters
from cupool.contract.ops._row import param_names, split_signature
from cupool.contract.ops.methods import (
    COMPARISONS,
    IN_PLACE,
    MEMBERS,
    METHODS,
    OPERATORS,
    RENAMES,
    SPECIAL_METHODS,
    UNARY,
    power_shortcut,
)

ROOT = Path(__file__).resolve().parents[2]
RECORD = json.loads((ROOT / "tools/data/cupy_record.json").read_text())
API = json.loads((ROOT / "tools/data/cupy_api.json").read_text())


def test_generated_files_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def normal(sig: str) -> list[str]:
    """A signature's pieces, as far as they matter: names and defaults, without annotations."""
    return [p.replace("_: ", "_").replace("<class 'float'>", "float") for p in split_signature(sig)]


@pytest.mark.parametrize(
    "name", sorted(n for n in RECORD["signatures"] if n in TABLE and "random" not in n and not n.startswith("cupyx"))
)
def test_signatures_are_cupys(name: str) -> None:
    row = TABLE[name]
    if row.unsupported or row.family == "ufunc":
        pytest.skip("not called by this signature")
    recorded = RECORD["signatures"][name]
    if name in ("empty", "zeros", "ones", "full", "eye", "identity") or name.endswith("_like"):
        recorded = recorded.replace(": DTypeLike | None", "").replace(": ", ":")
        names = [p.partition(":")[0].partition("=")[0] for p in split_signature(recorded)]
        assert names == [p.partition("=")[0] for p in split_signature(row.sig)]
        return
    if name.endswith(("matmul", "einsum")):
        assert row.params
        return
    assert normal(row.sig) == normal(recorded)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_methods_are_cupys(name: str) -> None:
    target, sig = METHODS[name]
    assert target in TABLE
    recorded = RECORD["methods"][name].replace("keepdims=None", "keepdims=False")
    assert split_signature(sig) == split_signature(recorded)
    own = set(param_names(sig)) - {"self"}
    renamed = {v: k for k, v in RENAMES.get(name, {}).items()}
    assert {renamed.get(p, p) for p in own} <= set(TABLE[target].params)


def test_every_member_of_ndarray_is_accounted_for() -> None:
    public = {e["name"].removeprefix("cupy.ndarray.") for e in API if e["name"].startswith("cupy.ndarray.")}
    reflected = {f"__r{name[2:]}" for name in OPERATORS}
    rows = {name.removeprefix("ndarray.") for name in TABLE if name.startswith("ndarray.")}
    known = {*METHODS, *SPECIAL_METHODS, *OPERATORS, *reflected, *IN_PLACE, *COMPARISONS, *UNARY, *MEMBERS, *rows}
    assert public <= known, sorted(public - known)


def test_operators_name_rows() -> None:
    for name in (*OPERATORS.values(), *UNARY.values(), *(x for pair in COMPARISONS.values() for x in pair)):
        assert name in TABLE
    for target, _ in SPECIAL_METHODS.values():
        assert target in TABLE


def test_power_shortcuts() -> None:
    assert power_shortcut("f", 2) == ("square", False)
    assert power_shortcut("b", 2) == ("square", True)
    assert power_shortcut("i", 0.5) == ("sqrt", True)
    assert power_shortcut("f", -1.0) == ("reciprocal", False)
    assert power_shortcut("f", 3) is None and power_shortcut("f", True) is None and power_shortcut("f", -1) is None


def test_signature_texts_are_python() -> None:
    for row in TABLE.values():
        if row.name.startswith("@"):
            continue
        scope: dict[str, Any] = {"float64": np.float64}
        exec(f"def f{row.sig}: pass", scope)
        expected = inspect.signature(scope["f"])
        assert tuple(expected.parameters) == row.params
        for ours, theirs in zip(parameters(row.sig), expected.parameters.values(), strict=True):
            kinds = {
                "positional": (theirs.POSITIONAL_ONLY, theirs.POSITIONAL_OR_KEYWORD), "args": (theirs.VAR_POSITIONAL,),
                "keyword": (theirs.KEYWORD_ONLY,), "kwargs": (theirs.VAR_KEYWORD,),
            }  # fmt: skip
            assert theirs.kind in kinds[ours.kind]
            if theirs.default is not theirs.empty:
                assert ours.default == theirs.default and type(ours.default) is type(theirs.default)


def test_calls_are_laid_out_as_documented() -> None:
    gradient, add = TABLE["gradient"], TABLE["add"]
    assert call_arguments(gradient, ("f", (1, 2), None, 1)) == (("f", 1, 2), {})
    assert call_arguments(gradient, ("f", (), 0, 2)) == (("f",), {"axis": 0, "edge_order": 2})
    assert call_arguments(add, ("a", "b", None, True, None, "same_kind")) == (("a", "b"), {})
    # Equal is not enough to be the default: 1 is not True, -0.0 is not 0.0.
    assert call_arguments(add, ("a", "b", None, 1, None, "same_kind"))[1] == {"where": 1}
    assert call_arguments(TABLE["nan_to_num"], ("x", True, -0.0, None, None))[1] == {"nan": -0.0}


def test_every_remote_row_has_a_device_implementation() -> None:
    missing = []
    for row in TABLE.values():
        if row.name.startswith("@") or not row.is_remote or row.impl in ops.MISSING:
            continue
        try:
            ops.resolve(row.impl)
        except KeyError:
            missing.append(row.name)
    assert not missing, missing


def test_view_rows_and_local_rows_are_not_both() -> None:
    for row in TABLE.values():
        if row.infer in (LOCAL, CLIENT):
            assert not row.writes and not row.host, row.name


def test_importing_the_table_is_cheap(tmp_path: Path) -> None:
    code = (
        "import time, numpy, google.protobuf; from cupool.v1 import session_pb2\n"
        "t = time.process_time(); import cupool.contract.ops; print((time.process_time() - t) * 1e3)"
    )
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPYCACHEPREFIX": str(tmp_path)
    }

    def measured() -> float:
        return float(
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
        )

    measured()  # compiles
    best = min(measured() for _ in range(3))
    assert best < 40, f"{best:.1f} ms of processor time"
