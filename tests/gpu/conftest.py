"""Everything here needs a GPU and the real CuPy, and is skipped without them."""

from __future__ import annotations

from importlib.machinery import PathFinder

import pytest


def why_not() -> str:
    """Why these tests cannot run here; empty when they can. Asked once, before a test makes `cupy` the shim."""
    # Past the finder that may stand for the shim already.
    if PathFinder.find_spec("cupy_backends") is None:
        return "the real CuPy is not installed"
    from cupy_backends.cuda.api import runtime

    try:
        return "" if runtime.getDeviceCount() else "no GPU"
    except RuntimeError as error:
        return f"no GPU: {error}"


REASON = why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "device" in getattr(item, "fixturenames", ()) and "tests/gpu" in str(item.path):
            item.add_marker(pytest.mark.keeps("a library that CUDA loads opens descriptors when it likes"))
    if REASON:
        for item in items:
            if "tests/gpu" in str(item.path):
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def device():
    """The device of this process, open with an account of 2 GiB. One for all tests: a context is dear."""
    from cupool.apiserver.accounting import Accounting
    from cupool.apiserver.devices.cuda.device import CudaDevice
    from cupool.apiserver.handles import Handles

    device = CudaDevice(0, 2 << 30)
    accounting = Accounting(2 << 30)
    device.open(accounting, Handles(accounting, device.array_type, 10_000))
    device.warm()
    return device
