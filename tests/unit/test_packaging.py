"""The distribution: every package listed, one top-level name, a thin base install."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ("shim", "apiserver", "pool", "balancer")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_in_tree() -> set[str]:
    """Every folder with Python modules below the import package and the components, by its dotted name."""
    found = set()
    for top in ("cupool", *COMPONENTS):
        for file in (ROOT / top).rglob("*.py"):
            parts = file.parent.relative_to(ROOT).parts
            if "__pycache__" in parts or "dropin" in parts:
                continue
            found.add(".".join(parts if top == "cupool" else ("cupool", *parts)))
    return found


def test_every_package_is_listed():
    listed = project()["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed)), "a package is listed twice"
    missing, gone = packages_in_tree() - set(listed), set(listed) - packages_in_tree()
    assert not missing, f"not listed in pyproject.toml, so missing in the wheel: {sorted(missing)}"
    assert not gone, f"listed in pyproject.toml but not in the tree: {sorted(gone)}"


def test_base_install_is_thin():
    names = {d.split(">")[0].split("=")[0] for d in project()["project"]["dependencies"]}
    assert names == {"grpcio", "protobuf", "numpy"}


def test_version_is_one():
    import cupool

    assert project()["project"]["version"] == cupool.__version__


def test_importing_the_facade_imports_neither_numpy_nor_grpc():
    code = "import sys, cupool; cupool.install(); print([m for m in ('numpy', 'grpc', 'google.protobuf') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names():
    import cupool

    # What users may rely on. A name is added here when it is documented, and removed only with a deprecation before.
    expected = """ContractViolation CupoolError ForeignArray LeaseRefused OpMissing PoolUnreachable ProtocolError SessionCloned SessionLost
    Unsupported VersionMismatch __version__ connect cupy cupyx install offload session statistics transit"""
    assert sorted(cupool.__all__) == sorted(expected.split())
    errors = importlib.import_module("cupool.contract.errors")
    assert cupool.SessionLost is errors.SessionLost
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cupool.nothing  # noqa: B018


@pytest.mark.slow
def test_wheel(tmp_path):
    """The wheel holds every package, the drop-in, the type files and the kernel headers, and nothing beside `cupool`."""
    source = tmp_path / "source"
    # A copy: a build leaves files in its tree, and stale ones there would be built into the wheel.
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "out", "__pycache__", "*.egg-info", "tests")
    )
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(source),
    ]
    probe = subprocess.run(
        [sys.executable, "-c", "import setuptools; print(setuptools.__version__.split('.')[0])"],
        capture_output=True,
        text=True,
    )
    if probe.returncode or int(probe.stdout) < 77:
        build.remove("--no-build-isolation")
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {n.split("/")[0] for n in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"cupool"}
    for package in project()["tool"]["setuptools"]["packages"]:
        assert any(n.startswith(package.replace(".", "/") + "/") for n in names), f"{package} is not in the wheel"
    assert {"cupool/dropin/cupy/__init__.py", "cupool/dropin/cupyx/__init__.py", "cupool/v1/session_pb2.pyi"} <= names
    headers = {str(p.relative_to(ROOT)) for p in (ROOT / "apiserver").rglob("*") if p.suffix in (".h", ".cuh", ".hpp")}
    assert {f"cupool/{h}" for h in headers} <= names
    size = sum(i.compress_size for i in zipfile.ZipFile(wheel).infolist())
    assert size <= 2 << 20, f"the wheel has {size} bytes"
    checked = subprocess.run(
        [Path(sys.executable).parent / "check-wheel-contents", wheel], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_link_tree(tmp_path):
    """The tree of links imports like the installed package, and follows the repository when it is made again."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        link_tree = importlib.import_module("link_tree")
    finally:
        sys.path.remove(str(ROOT / "tools"))
    tree = link_tree.make(tmp_path / "tree")
    (tree / "cupool" / "gone").symlink_to("nowhere")
    link_tree.make(tree)
    assert not (tree / "cupool" / "gone").is_symlink()
    code = "import json, cupool, cupool.pool.plan, cupool.contract.errors as e; print(json.dumps([cupool.__file__, e.__name__]))"
    done = subprocess.run(
        [sys.executable, "-P", "-S", "-c", f"import sys; sys.path[:0] = [{str(tree)!r}] + {sys.path[1:]!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    file, name = json.loads(done.stdout)
    assert file.startswith(str(tree)) and name == "cupool.contract.errors"
