"""The executor on the CPU device: results, faults, poison, accounts, refusals. No process, no socket."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cupool.apiserver.devices.cpu.device import CpuDevice
from cupool.apiserver.executor import Executor
from executing import DATA, MIB, Client
from wire import OBJECT, REPLY, H, V, Writer, form, spec, value

from cupool.contract.errors import ProtocolError, error_from_wire
from cupool.contract.limits import Limits
from cupool.contract.values import HandleRef, decode
from cupool.v1 import session_pb2


@pytest.fixture
def client() -> Client:
    return Client()


def test_add_and_fetch(client: Client) -> None:
    client.array(1)
    client.array(2)
    client.run(("add", 3, 1, 2))
    assert client.fetch(3).tolist() == [0, 2, 4, 6]
    assert client.failures == []


def test_scalar_slots(client: Client) -> None:
    from cupool.contract.codec import real_bits

    client.array(1)
    client.run(
        ("mul_i", 2, 1, 3), ("mul_r", 3, 1, real_bits(0.5)), ("mul_i", 4, 1, -2), ("mul_r", 5, 1, real_bits(1e300))
    )
    assert client.fetch(2).tolist() == [0, 3, 6, 9]
    assert client.fetch(3).tolist() == [0, 0.5, 1, 1.5]
    assert client.fetch(4).tolist() == [0, -2, -4, -6]
    assert client.fetch(5).tolist() == [0, 1e300, 2e300, 3e300]


def test_a_result_of_another_shape_is_an_error_and_never_a_number(client: Client) -> None:
    client.array(1)
    client.run(("wrong", 2, 1, 1))
    assert client.failures[0].error.type == "cupool.ContractViolation"
    assert list(client.failures[0].handles) == [2]
    assert client.failures[0].tag == 5 and client.failures[0].position == 1
    with pytest.raises(Exception, match=r"client expected.*ResultSpec"):
        client.fetch(2)


@pytest.mark.parametrize("operands", [(), (1,), (1, 1, 1, 1)])
def test_a_ufunc_with_another_number_of_operands_says_so(client: Client, operands: tuple[int, ...]) -> None:
    """A client of one's own may send anything: the text is for whoever wrote it."""
    client.array(1)
    client.forms["odd"] = form(900, "add", [H] * len(operands), [spec((4,))])
    client.run(("odd", 2, *operands))
    (failure,) = client.failures
    assert failure.error.type == "TypeError"
    assert failure.error.message.startswith("Wrong number of arguments for 'cupy_add'. It must be 2 ")
    assert failure.error.message.endswith(f"but given {len(operands)}.")


def test_other_strides_are_rearranged() -> None:
    client = Client()
    client.array(1)
    rearranged = form(2, "add", [H, H], [spec((2, 3), strides=(8, 16))])
    forms = [form(1, "@array", [V], [spec((2, 3))]), rearranged, form(3, "@fetch", [H], [REPLY])]
    executor = Executor(CpuDevice(), MIB, Limits())
    data = np.arange(6.0).reshape(2, 3)
    batch = Writer().batch([1, 1, value(data.tobytes()), 2, 2, 1, 1, 3, 3, 2], 3, *forms)
    outcome = executor.run(batch)
    assert executor.handles.table[2].strides == (8, 16)
    assert decode(session_pb2.Result.FromString(outcome.results[0]).value).tolist() == (data + data).tolist()


def test_views_share_and_outlive_their_owner(client: Client) -> None:
    client.array(1)
    client.run(("view", 2, 1, 16), ("fill", 2))
    assert client.fetch(1).tolist() == [0, 1, 7, 7]
    assert client.used == 512
    client.run(("free", 1))
    assert client.used == 512
    assert client.fetch(2).tolist() == [7, 7]
    client.run(("free", 2))
    assert client.used == 0


@pytest.mark.parametrize("offset", [24, -8, 1 << 40, -(1 << 40)])
def test_a_view_outside_of_its_buffer_fails(client: Client, offset: int) -> None:
    client.array(1)
    client.run(("view", 2, 1, offset))
    assert client.failures[0].error.type == "ValueError"


def test_a_view_of_a_view_reaches_back_into_the_buffer(client: Client) -> None:
    client.array(1)
    client.run(("view", 2, 1, 16), ("view", 3, 2, -16))
    assert client.failures == []
    assert client.fetch(3).tolist() == [0, 1]


def test_errors_propagate_without_being_told_again(client: Client) -> None:
    client.array(1)
    client.run(("wrong", 2, 1, 1), ("add", 3, 2, 1), ("add", 4, 3, 3))
    assert [f.op for f in client.failures] == ["add"]
    with pytest.raises(Exception, match="client expected"):
        client.fetch(4)
    client.run(("free", 2), ("free", 3), ("free", 4))
    assert client.executor.handles.faults == 0
    assert client.used == 512


def test_a_failed_write_poisons_all_views_until_overwritten(client: Client) -> None:
    client.array(1)
    client.run(("view", 2, 1, 0), ("wrong", 9, 1, 1))
    client.run(("iadd", 1, 9, 1))  # operand 9 holds an error
    assert client.failures == []
    for handle in (1, 2):
        with pytest.raises(Exception, match="client expected"):
            client.fetch(handle)
    client.run(("set_some", 1))  # a part does not cure it
    with pytest.raises(Exception, match="client expected"):
        client.fetch(1)
    client.run(("fill", 2))  # a view of a part does not either
    with pytest.raises(Exception, match="client expected"):
        client.fetch(2)
    client.run(("set_all", 1))
    assert client.fetch(1).tolist() == [1] * 4
    assert client.fetch(2).tolist() == [1, 1]
    client.run(("free", 9))
    assert client.executor.handles.faults == 0


def test_a_view_made_of_a_poisoned_array_is_cured_with_it(client: Client) -> None:
    client.array(1)
    client.run(("wrong", 9, 1, 1), ("iadd", 1, 9, 1), ("view", 2, 1, 8), ("fill", 1))
    assert client.fetch(2).tolist() == [7, 7]


def test_freeing_a_poisoned_buffer_ends_the_fault(client: Client) -> None:
    client.array(1)
    client.run(("wrong", 9, 1, 1), ("iadd", 1, 9, 1), ("free", 1), ("free", 9))
    assert client.executor.handles.faults == 0 and client.used == 0


def test_an_unknown_handle_is_an_error_and_freeing_one_is_not(client: Client) -> None:
    client.run(("free", 77))
    client.array(1)
    client.run(("add", 2, 1, 77))
    assert client.failures[0].error.type == "cupool.ForeignArray"
    client.run(("add", 3, 1, 5 << 40))
    assert "another session" in client.failures[0].error.message


def test_a_failed_wait_is_told_by_its_reply_alone(client: Client) -> None:
    client.run(("fault", 1))
    assert client.failures == []
    assert client.replies[1].error.type == "PermissionError"


def test_results_of_unknown_shape(client: Client) -> None:
    client.array(1)
    client.run(("nonzero", 2, 1))
    told = client.replies[2].spec
    assert list(told.shape) == [3] and told.dtype.code == "<i8"
    assert client.fetch(2).tolist() == [1, 2, 3]
    client.run(("free", 1), ("free", 2))
    assert client.used == 0


def test_an_alias_is_charged_once(client: Client) -> None:
    client.array(1)
    client.run(("alias", 2, 1), ("fill", 2), ("free", 1))
    assert client.fetch(2).tolist() == [7] * 4
    assert client.used == 512
    client.run(("free", 2))
    assert client.used == 0


def test_the_limit_is_enforced_before_allocating() -> None:
    client = Client(limit_bytes=9 * MIB)
    client.run(("big", 1, value(bytes(8 * MIB))))
    client.run(("big", 2, value(bytes(8 * MIB))))
    error = error_from_wire(client.failures[0].error)
    assert type(error).__name__ == "OutOfMemoryError"
    assert (
        str(error)
        == "Out of memory allocating 8,388,608 bytes (allocated so far: 8,388,608 bytes, limit set to: 9,437,184 bytes)."
    )
    client.run(("free", 1))
    client.run(("free", 2), ("big", 3, value(bytes(8 * MIB))))
    assert client.failures == [] and client.used == 8 * MIB


def test_memory_is_told_as_a_pool_shows_it(client: Client) -> None:
    client.run(("big", 1, value(bytes(8 * MIB))), ("free", 1), ("memory", 90))
    told = decode(client.replies[90].value)
    assert (told["used"], told["total"], told["free"]) == (0, 8 * MIB, 8 * MIB)
    client.run(("free_blocks",), ("memory", 91))
    assert decode(client.replies[91].value)["total"] == 0


def test_set_limit(client: Client) -> None:
    client.run(("limit", 4 * MIB), ("memory", 90), ("big", 1, value(bytes(8 * MIB))))
    assert decode(client.replies[90].value)["limit"] == 4 * MIB
    assert client.failures[0].error.type == "cupy.cuda.memory.OutOfMemoryError"


def test_a_singular_matrix_fails_or_is_what_the_device_says(client: Client) -> None:
    client.run(("square", 1, value(np.eye(2).tobytes())), ("solve", 2, 1))
    assert client.fetch(2).tolist() == [[1, 0], [0, 1]]


def test_forms_reset_lets_numbers_start_again(client: Client) -> None:
    client.array(1)
    client.run(("reset",))
    client.sent = {"reset"}
    with pytest.raises(ProtocolError, match="not defined"):
        client.executor.run(client.writer.batch([3, 9, 1, 1], 1))


def test_a_reset_and_new_forms_in_one_batch(client: Client) -> None:
    client.array(1)
    reset, other = form(1, "@forms_reset", [], []), form(2, "subtract", [H, H], [spec((4,))])
    client.executor.run(client.writer.batch([1, 2, 9, 1, 1], 2, reset, other))
    client.sent.clear()
    assert client.executor.handles.table[9].tolist() == [0] * 4


@pytest.mark.parametrize(
    ("items", "count", "forms", "sentence"),
    [
        ([3, 9, 1], 1, [], "cut off"),
        ([0], 1, [], "cut off"),
        ([999, 1], 1, [], "not defined"),
        ([-1], 1, [], "negative"),
        ([0, 1], 2, [], "announced 2"),
        ([0, 1, 0, 1], 1, [], "announced 1"),
        ([], 5, [], "cannot fit"),
        ([3, 1, 1, 1], 1, [], "already in use"),
        ([], 0, [form(3, "subtract", [H, H], [spec((4,))])], "other contents"),
        ([], 0, [form(30, "no_such_op", [H], [])], "no op"),
        ([], 0, [form(1 << 24, "add", [H, H], [])], "ids are in"),
        ([], 0, [form(0, "add", [H, H], [])], "ids are in"),
        ([], 0, [form(30, "add", [H] * 5000, [])], "more than"),
        ([], 0, [form(30, "add", [HandleRef(1)], [])], "not a literal"),
        ([], 0, [form(30, "@view", [H, H], [spec((4,))])], "must be a number"),
        ([], 0, [form(30, "@fetch", [H], [])], "one reply"),
    ],
)
def test_malformed_batches_are_refused(
    client: Client, items: list[Any], count: int, forms: list[Any], sentence: str
) -> None:
    client.array(1)
    client.run(("add", 2, 1, 1))
    with pytest.raises(ProtocolError, match=sentence):
        client.executor.run(client.writer.batch(items, count, *forms))


def test_the_bound_on_handles() -> None:
    client = Client(handles=3)
    for handle in (1, 2, 3):
        client.array(handle)
    with pytest.raises(ProtocolError, match="live handles"):
        client.array(4)


def test_the_bound_on_forms() -> None:
    client = Client(forms=2)
    client.array(1)
    client.fetch(1)
    with pytest.raises(ProtocolError, match="More than 2 forms"):
        client.run(("add", 2, 1, 1))


def test_many_operations_leave_nothing(client: Client) -> None:
    client.array(1)
    for k in range(50):
        client.run(*[c for j in range(20) for c in (("add", 100 + k * 20 + j, 1, 1), ("free", 100 + k * 20 + j))])
    assert client.used == 512 and len(client.executor.handles.table) == 1


def test_remote_objects() -> None:
    client = Client()
    forms = [
        form(40, "@event_create", [0], [OBJECT]),
        form(41, "@event_record", [H], []),
        form(42, "@event_elapsed", [H, H], [REPLY]),
    ]
    outcome = client.executor.run(client.writer.batch([40, 1, 40, 2, 41, 1, 41, 2, 42, 3, 1, 2], 5, *forms))
    assert decode(session_pb2.Result.FromString(outcome.results[0]).value) >= 0
    client.run(("free", 1), ("free", 2))
    assert not client.executor.handles.table


def test_rebind_moves_every_alias(client: Client) -> None:
    client.array(1)
    client.run(("view", 2, 1, 16), ("view", 3, 2, 0))
    handles = client.executor.handles
    old = handles.root_of(handles.table[1])
    new = np.zeros(4)

    def rebuild(array: Any) -> Any:
        offset = array.__array_interface__["data"][0] - old.__array_interface__["data"][0]
        return np.ndarray(array.shape, array.dtype, new, offset, array.strides)

    new[:] = old
    freed: list[bool] = []
    handles.rebind(old, rebuild, lambda: freed.append(True))
    client.run(("fill", 3))
    assert new.tolist() == [0, 1, 7, 7]
    assert client.fetch(1).tolist() == [0, 1, 7, 7] and client.fetch(2).tolist() == [7, 7]
    assert client.used == 512
    client.run(("free", 1), ("free", 2))
    assert not freed
    client.run(("free", 3))
    assert freed and client.used == 0


def test_rebind_finds_an_array_alone_in_its_buffer(client: Client) -> None:
    client.array(1)
    handles = client.executor.handles
    old, new = handles.table[1], np.full(4, 3.0)
    handles.rebind(old, lambda array: np.ndarray(array.shape, array.dtype, new, 0, array.strides))
    assert client.fetch(1).tolist() == [3] * 4
    client.run(("free", 1))
    assert client.used == 0


def test_a_result_that_is_an_operand_is_copied(client: Client) -> None:
    client.array(1)
    executor = client.executor
    executor._impls = {**executor._impls, "copy": lambda a, order="K": a, "flip": lambda m, axis=None: m[::-1]}
    forms = [form(50, "copy", [H], [spec((4,))]), form(51, "@array", [V], [spec((1,))])]
    executor.run(client.writer.batch([50, 2, 1], 1, *forms))
    client.run(("fill", 1))
    assert client.fetch(2).tolist() == DATA.tolist()
    client.run(("free", 1), ("free", 2))
    assert client.used == 0


def test_a_reply_too_large_for_a_frame_is_an_error_of_its_command() -> None:
    client = Client(frame_bytes=1 << 20)
    client.run(("big", 1, value(bytes(8 * MIB))))
    with pytest.raises(ValueError, match="over the frame limit"):
        client.fetch(1)


def test_the_replies_of_one_batch_are_bounded() -> None:
    client = Client(inflight_bytes=20 * MIB, frame_bytes=16 * MIB)
    client.run(("big", 1, value(bytes(8 * MIB))))
    with pytest.raises(ProtocolError, match="bytes of replies"):
        client.run(*[("fetch", 100 + k, 1) for k in range(4)])


def test_failures_beyond_the_bound_are_stored_and_not_told() -> None:
    client = Client(inflight_bytes=64 << 10)
    client.array(1)
    client.run(*[("wrong", 100 + k, 1, 1) for k in range(500)])
    assert 0 < len(client.failures) < 500
    with pytest.raises(Exception, match="client expected"):
        client.fetch(599)


def test_a_kernel_may_leave_a_part_of_its_out_as_it_was() -> None:
    """So it does not cure a poisoned buffer, as a ufunc with `out=` does."""
    from cupool.apiserver.faults import overwrites

    assert overwrites("add", (), {"out": object()})
    assert not overwrites("@call_elementwise", (), {"out": object()})
    assert not overwrites("@call_reduction", (), {"out": object()})
