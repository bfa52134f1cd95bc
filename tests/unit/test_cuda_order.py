"""What is used again on a GPU is used after whoever had it before, and a device that refuses everything ends its session: without a GPU."""

from __future__ import annotations

from typing import Any

import documents
import fakecupy
import numpy as np
import pytest
from cupool.apiserver.executor import Executor
from cupool.apiserver.session import Refused
from wire import REPLY, H, I, V, Writer, form, spec, value

from cupool.contract.errors import error_from_wire
from cupool.contract.limits import DEFAULT_LIMITS
from cupool.contract.spec import spec_of
from cupool.v1 import session_pb2

LIMIT = 32 << 20
SPEC = spec_of((1000,), np.dtype("f8"), None)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = fakecupy.install(monkeypatch).CudaDevice(0, LIMIT)
    made.executor = Executor(made, LIMIT, DEFAULT_LIMITS)
    return made


def staged(device: Any, data: np.ndarray[Any, Any]) -> Any:
    staging = device.staging(data.nbytes)
    staging.write(0, data.view(np.uint8))
    return staging


def test_an_upload_that_is_given_up_writes_nothing_afterwards(device: Any) -> None:
    """Its memory is somebody else's by then."""
    staging = staged(device, np.full(1000, 7.0))
    address = staging.root.data.ptr
    del staging
    array = device.from_bytes(SPEC, np.ones(1000).tobytes())
    assert array.data.ptr == address, "the memory was not used again: this shows nothing"
    device.synchronize()
    assert (array.get() == 1.0).all()


def test_what_goes_up_for_a_stream_apart_is_memory_of_that_stream(device: Any) -> None:
    device.resolve("@stream_create")(3, True, 0)
    device.resolve("@stream_create")(4, False, 0)
    data = np.arange(1000.0)
    for stream, is_copied in ((0, False), (4, False), (3, True)):
        device.select(0, stream)
        staging = staged(device, data)
        address, waits = staging.root.data.ptr, len(fakecupy.Stream.null.waited)
        array = device.upload(SPEC, staging)
        assert (array.data.ptr != address) == is_copied
        assert (array.get() == data).all()
        waited = fakecupy.Stream.null.waited[waits:]
        assert [event.stream for event in waited] == ([device._streams.get(3)] if is_copied else [])


def test_a_stream_that_ends_is_kept_until_its_work_is_done(device: Any) -> None:
    create, destroy = device.resolve("@stream_create"), device.resolve("@stream_destroy")
    create(3, True, 0)
    stream = device._streams.get(3)
    stream.done = False
    destroy(3)
    destroy(3)
    create(5, True, 0)
    destroy(5)
    assert device._streams._ending[0] is stream
    stream.done = True
    create(6, True, 0)
    destroy(6)
    assert stream not in device._streams._ending


FORMS = [
    form(1, "@array", [V], [spec((4,))]), form(2, "add", [H, H], [spec((4,))]), form(3, "@fetch", [H], [REPLY]),
    form(4, "@from_pointer", [I, np.dtype("f8"), (4,), (8,)], [spec((4,))]),
]  # fmt: skip


def test_a_kernel_that_faults_ends_the_session_with_one_reason(device: Any) -> None:
    session, writer = documents.session_over(device.executor), Writer()
    sent: list[tuple[Any, Any]] = []
    session._send_kept = lambda results, failures, behind: sent.append((list(results), list(failures)))

    def fault() -> None:
        raise fakecupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered", 700)

    session._run(writer.batch([1, 1, value(np.ones(4).tobytes())], 1, *FORMS), b"")
    fakecupy.GPUS[0].issued.append(fault)
    with pytest.raises(Refused, match=r"The session is over: a kernel failed \(cudaErrorIllegalAddress"):
        session._run(writer.batch([2, 2, 1, 1, 3, 50, 2, 3, 51, 1], 3), b"")
    # Whoever waits for an answer has CUDA's own error, and the session's end says why.
    results = [session_pb2.Result.FromString(r) for results, _ in sent for r in results]
    for result in results:
        with pytest.raises(RuntimeError, match="cudaErrorIllegalAddress"):
            raise error_from_wire(result.error)
    assert [result.id for result in results] == [50, 51]
    assert session.over.startswith("a kernel failed (cudaErrorIllegalAddress")


def test_an_address_that_is_refused_is_no_fault(device: Any) -> None:
    """The same number, said by us: nothing has been launched."""
    session, writer = documents.session_over(device.executor), Writer()
    session._send_kept = lambda results, failures, behind: None
    session._run(writer.batch([4, 9, 4096], 1, *FORMS), b"")
    assert session.executor.failed_commands == 1
    assert not session.over
    assert not session.executor.fault
