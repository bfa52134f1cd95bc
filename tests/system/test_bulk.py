"""Bulk bytes through a real server: the ring and gRPC, cuts at any byte, changed arrays, memory beside, hostile callers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupool.shim import bulk, dispatch, session, transit

from benchmarks.moving import wait_until
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
        wait_until(lambda: bulk.statistics().retained_bytes == 0)  # the last acknowledgement is told after the bytes


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


def large_mappings(pid: int) -> list[str]:
    """What of a process's memory is larger than 32 MiB now, for the message of a failed test."""
    found, header = [], ""
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name == "Rss" and int(rest.split()[0]) > 32 << 10:
                found.append(f"{header} {rest.strip()}")
            elif "-" in name.split(" ")[0]:
                header = line.rstrip()
    return found


def why(pid: int) -> str:
    return f"{bulk.statistics()}; {session.statistics().recoveries} recoveries; now {large_mappings(pid)}"


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
            beside = resident_bytes(server.process.pid) - there - size
            assert beside < size // 4, why(server.process.pid)
    finally:
        server.close()


def test_bytes_that_are_there_before_their_command_is_sent_wait_for_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that sends an upload in the background is done with it before the caller has sent the command that names it."""
    monkeypatch.setenv("CUPOOL_LANE", "0")
    send = dispatch.send

    def late(name: str, *rest: Any) -> Any:
        if name == "@upload":
            wait_until(lambda: bulk._state.outstanding == 0)
        return send(name, *rest)

    monkeypatch.setattr(dispatch, "send", late)
    with opened(server.endpoint):
        for _ in range(10):
            x = data(MIB)
            assert np.array_equal(down(up(x), x), x)
        session.wait_all()


def test_nothing_is_left_after_a_kill(server: Server) -> None:
    os.environ.pop("CUPOOL_LANE", None)
    with opened(server.endpoint):
        up(data(2 * MIB))
        where = session.link_target().lane
        assert where.startswith("@")  # in the abstract namespace: no file at any time


def test_packed_bytes_are_fewer_and_the_same(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPOOL_LANE", "0")
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint):
        x = np.repeat(data(MIB // 2), 16)
        for compression in ("zlib", ""):
            before = dict(proxy.passed)
            with transit.transit(compression=compression):
                handle = up(x)
                assert np.array_equal(down(handle, x), x)
            for direction in (UP, DOWN):
                assert (proxy.passed[direction] - before[direction] < x.nbytes // 2) == (compression == "zlib")
        with transit.transit(compression="zlib"):
            proxy.strike("cut", UP, proxy.passed[UP] + 200_000)
            handle = up(x)
            proxy.strike("cut", DOWN, proxy.passed[DOWN] + 200_000)
            assert np.array_equal(down(handle, x), x)
            assert len(proxy.struck) == 2


@pytest.mark.parametrize("float32_as", ["float16", "bfloat16"])
def test_float32_as_16_bits(server: Server, float32_as: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cupool.shim import cupy as cp

    monkeypatch.setenv("CUPOOL_LANE", "0")
    bound = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[float32_as]
    with FaultProxy(server.endpoint) as proxy, opened(proxy.endpoint):
        x = np.random.default_rng(1).normal(size=(1000, 300)).astype(np.float32)
        x[0, :3] = 0.0, 1.0, np.nan
        for host in (x, np.asfortranarray(x), x[::2]):
            before = dict(proxy.passed)
            with transit.transit(float32_as=float32_as):
                made = cp.asarray(host)
            assert (made.dtype, made.shape) == (host.dtype, host.shape)
            plain = cp.asarray(host)
            assert made.strides == plain.strides
            there = made.get()
            assert proxy.passed[UP] - before[UP] < 4 * host.nbytes
            assert np.nanmax(np.abs(there - host) / np.maximum(np.abs(host), 2.0**-14)) <= bound
            assert np.isnan(there[0, 2])
            before = dict(proxy.passed)
            with transit.transit(float32_as=float32_as):
                back = cp.asarray(host).get()
                into = made.get(out=np.empty_like(there))
            assert proxy.passed[DOWN] - before[DOWN] < 1.3 * host.nbytes
            assert np.array_equal(back, there, equal_nan=True)  # what is rounded already is not rounded again
            assert np.array_equal(into, there, equal_nan=True)
        x[5, 5] = 3.4e38
        with transit.transit(float32_as=float32_as):
            whole = cp.asarray(x)
            assert np.array_equal(whole.get(), x, equal_nan=True)
        whole[5, 5] = np.inf
        with transit.transit(float32_as=float32_as):
            found = whole.get()
        assert found[5, 5] == np.inf
        assert np.array_equal(np.delete(found, 5, 0), np.delete(x, 5, 0), equal_nan=True)
