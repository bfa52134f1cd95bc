"""`import cupy` is the shim, each module once, and never beside the real CuPy. Runs in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cupool.shim import finder


def python(code: str, tmp_path: Path | None = None, **environment: str) -> str:
    variables = dict(os.environ, **environment)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env=variables,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_one_identity_per_module():
    assert (
        python("""
        import sys, warnings
        warnings.simplefilter("error")
        import cupool
        cupool.install()
        cupool.install()
        import cupy.linalg, cupy.cuda.runtime, cupyx
        import cupool.shim.cupy.linalg as inner
        from cupool import cupy as facade
        assert cupy is facade is sys.modules["cupool.shim.cupy"], (cupy, facade)
        assert cupy.linalg is inner is sys.modules["cupy.linalg"]
        assert cupy.__spec__.parent == "cupool.shim.cupy" and cupy.linalg.__spec__.parent == "cupool.shim.cupy.linalg"
        assert cupyx is cupool.cupyx
        import importlib
        twice = [n for n, m in sys.modules.items() if n.startswith("cupy") and m is not sys.modules["cupool.shim." + n]]
        print(twice)
        """)
        == "[]"
    )


def test_backends_have_the_errors_that_programs_catch():
    out = python("""
        import cupool
        cupool.install()
        import cupy
        from cupy_backends.cuda.api.driver import CUDADriverError
        from cupy_backends.cuda.api.runtime import CUDARuntimeError, getDeviceCount
        assert CUDARuntimeError is cupy.cuda.runtime.CUDARuntimeError and CUDADriverError is cupy.cuda.driver.CUDADriverError
        assert getDeviceCount is cupy.cuda.runtime.getDeviceCount
        print("same")
        """)
    assert out == "same"


def test_dropin_folder_gives_the_shim_itself():
    for first, second in (("cupy", "cupyx"), ("cupyx", "cupy"), ("cupy.linalg", "cupy")):
        out = python(
            f"""
            import {first}, {second}, sys
            import cupool
            assert cupool.cupy is sys.modules["cupy"]
            assert {first} is sys.modules["cupool.shim.{first}"] and {second} is sys.modules["cupool.shim.{second}"]
            print("same")
            """,
            PYTHONPATH=str(finder.DROPIN),
        )
        assert out == "same"


def test_refuses_beside_the_real_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("real = True\n")
    out = python(
        """
        import cupy, cupool
        try:
            cupool.install()
        except cupool.CupoolError as error:
            print(error)
        assert cupy.real
        """,
        tmp_path,
    )
    assert "already imported" in out and "cupy.py" in out and "cupool run" in out


def test_import_opens_no_socket_and_starts_no_process_or_thread():
    out = python("""
        import os, threading
        import cupool
        cupool.install()
        import cupy, cupyx, cupy.linalg, cupy.random, cupy.fft
        cupy.ndarray, cupy.add, cupy.float32
        folder = "/proc/self/fd/"
        descriptors = [folder + fd for fd in os.listdir(folder) if os.path.lexists(folder + fd)]
        sockets = [fd for fd in descriptors if os.readlink(fd).startswith("socket:")]
        children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
        print(sockets, children, threading.active_count())
        """)
    assert out == "[] [] 1"


def test_unknown_submodule_is_a_plain_import_error():
    assert "No module named 'cupy.nothing'" in python("""
        import cupool
        cupool.install()
        try:
            import cupy.nothing
        except ModuleNotFoundError as error:
            print(error)
        """)


@pytest.mark.parametrize("name", ["numpy", "cup", "cupool", "cupyz"])
def test_other_names_are_left_alone(name):
    assert finder.real_name(name) is None and finder.AliasFinder().find_spec(name) is None


def test_private_modules_that_programs_take_are_there_after_a_bare_import():
    assert (
        python("""
        import cupool
        cupool.install()
        import cupy, cupy_backends
        names = (cupy_backends.cuda.api.runtime.is_hip, cupy_backends.cuda.libs.cublas, cupy._util.memoize, cupy._core.internal.prod,
                 cupy._core._accelerator.ACCELERATOR_CUB, cupy._core._scalar.get_typename)
        print(len(names))
        """)
        == "6"
    )
