"""Bulk bytes through a real server: the ring and gRPC, cuts at any byte, changed arrays, memory beside, hostile callers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import bulk, dispatch, session

from cupool.contract.errors import OutOfMemoryError
from cupool.contract.spec import spec_of

from .faultproxy import DOWN, UP, FaultProxy
from .servers import Server, opened

MIB = 1 << 20


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["lane", "grpc"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CUPOOL_LANE", "1" if request.param == "lane" else "0")
    return str(request.param)


def data(nbytes: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(nbytes).integers(0, 255, nbytes, np.uint8)


def up(array: np.ndarray[Any, Any]) -> int:
    return bulk.upload(array, spec_of(array.shape, array.dtype))


def down(handle: int, like: np.ndarray[Any, Any], out: Any = None) -> np.ndarray[Any, Any]:
    return bulk.download(handle, spec_of(like.shape, like.dtype), out)


@pytest.mark.parametrize("nbytes", [65_537, 3 * MIB + 1, 70 * MIB])
def test_there_and_back(server: Server, path: str, nbytes: int) -> None:
    with opened(server.endpoint):
        before = bulk.statistics()
        x = data(nbytes)
        handle = up(x)
        x_before = x[:100].copy()
        x[:100] = 0  # ours again as soon as `upload` has returned
        back = down(handle, x)
        assert np.array_equal(back[:100], x_before)
        assert np.array_equal(back[100:], x[100:])
        after = bulk.statistics()
        assert (after.lane_bytes - before.lane_bytes) == (2 * nbytes if path == "lane" else 0)
        assert after.retained_bytes == 0


def test_layouts_and_out(server: Server, path: str) -> None:
    with opened(server.endpoint):
        base = data(4 * MIB).reshape(2048, 2048)
        for x in (base.T, base[::2, ::3], base[:, ::-1], base[:512].astype(np.complex128), base.astype(">i4")):
            handle = up(x)
            out = np.empty(x.shape, x.dtype)
            assert down(handle, x, out) is out
            assert np.array_equal(out, x)
            strided = np.empty((*x.shape, 2), x.dtype)[..., 0]
            assert np.array_equal(down(handle, x, strided), x)


def test_a_layout_beyond_the_retained_budget(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPOOL_LANE", "0")
    monkeypatch.setattr(bulk, "RETAINED_BYTES", MIB)
    with opened(server.endpoint):
        x = data(6 * MIB).reshape(3, 2, MIB).transpose(1, 2, 0)[:, ::2]
        assert np.array_equal(down(up(x), x), x)


@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize("kind", ["cut", "half-close"])
@pytest.mark.parametrize("at", [1, 70_000, 5 * MIB + 13, 11 * MIB])
def test_a_cut_resumes(server: Server, direction: str, kind: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPOOL_LANE", "0")
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint):
        x = data(12 * MIB)
        proxy.strike(kind, direction, proxy.passed[direction] + at)
        handle = up(x)
        assert np.array_equal(down(handle, x), x)
        assert proxy.struck


def test_many_small_uploads_in_flight_and_a_cut(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPOOL_LANE", "0")
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint):
        arrays = [data(100_000 + k) for k in range(30)]
        proxy.strike("cut", UP, proxy.passed[UP] + 1_500_000)
        handles = [up(x) for x in arrays]
        for handle, x in zip(handles, arrays, strict=True):
            assert np.array_equal(down(handle, x), x)


def test_a_broken_lane_goes_on_over_grpc(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from cupool.shim import lane as client

    from cupool.contract import lane as layout

    monkeypatch.setenv("CUPOOL_LANE", "1")
    sent = 0
    send = layout.Wire.send

    def breaks(self: Any, message: Any, tail: bytes = b"") -> None:
        nonlocal sent
        sent += message.kind in (layout.FILLED, layout.FREED)
        if sent == 5:
            self.sock.shutdown(2)
        send(self, message, tail)

    with opened(server.endpoint):
        x = data(12 * MIB)
        monkeypatch.setattr(client.Wire, "send", breaks)
        handle = up(x)
        assert sent >= 5
        assert len([r for r in caplog.records if "lane is off" in r.message]) == 1
        assert np.array_equal(down(handle, x), x)
        assert bulk.statistics().resumed


def test_a_write_after_the_export_does_not_show(server: Server, path: str) -> None:
    """The bytes of a download are those of its moment, also when they are read in place."""
    with opened(server.endpoint):
        from cupool.shim import array as _  # noqa: F401 - the array class completes dispatch

        x = data(8 * MIB)
        handle = up(x)
        transfer = dispatch.mint()
        (reply,) = dispatch.send("@export", (dispatch.HANDLE, dispatch.INTEGER), (handle, transfer), ("reply",))
        spec = spec_of(x.shape, x.dtype)
        (view,) = dispatch.send("@view", (dispatch.HANDLE, dispatch.INTEGER), (handle, 0), (spec,))
        head = dispatch.define("ndarray.fill", (dispatch.HANDLE, 7), {}, ())
        dispatch.extend((head, view))
        session.wait_all()
        back = np.empty_like(x)
        bulk._receive(transfer, back)
        session.wait_reply(reply)
        assert np.array_equal(back, x)
        assert np.all(down(handle, x) == 7)
        dispatch.extend((0, transfer))


def test_out_of_memory_comes_at_the_call(path: str) -> None:
    small = Server("--memory", str(32 * MIB))
    try:
        with opened(small.endpoint):
            if path == "lane":
                with pytest.raises(OutOfMemoryError):
                    up(data(40 * MIB))
            else:
                # Copied and sent behind the caller's back: the array's next use tells.
                with pytest.raises(OutOfMemoryError):
                    down(up(data(40 * MIB)), data(40 * MIB))
            x = data(20 * MIB)
            for _ in range(4):  # each needs the one before to be gone
                handle = up(x)
                assert np.array_equal(down(handle, x), x)
                dispatch.extend((0, handle))
    finally:
        small.close()


def resident_bytes(pid: int | str) -> int:
    """The most memory that a process had so far."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


def test_a_large_upload_needs_no_second_copy(path: str) -> None:
    """512 MiB here; neither side may need more than a quarter of it beside."""
    size = 512 * MIB
    server = Server("--memory", str(1 << 30))
    try:
        with opened(server.endpoint):
            x = np.zeros(size, np.uint8)
            x[::4096] = 1
            up(data(2 * MIB))
            session.wait_all()
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # forget the peak so far
            here, there = resident_bytes("self"), resident_bytes(server.process.pid)
            up(x)
            session.wait_all()
            assert resident_bytes("self") - here < size // 4
            assert resident_bytes(server.process.pid) - there < size + size // 4
    finally:
        server.close()


def test_nothing_is_left_after_a_kill(server: Server) -> None:
    os.environ.pop("CUPOOL_LANE", None)
    with opened(server.endpoint):
        up(data(2 * MIB))
        where = session.link_target().lane
        assert where.startswith("@")  # in the abstract namespace: no file at any time
