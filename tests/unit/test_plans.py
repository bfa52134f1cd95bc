"""Loops by plans leave what they leave command by command; what no plan takes is walked; a loop that cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest
from cupool.apiserver.executor import BrokenOff
from cupool.apiserver.plans import plans as plans_module
from executing import DATA, Client
from loop_programs import _state, check
from wire import H, I, V, form, spec, value

from cupool.contract import codec, loops
from cupool.contract.errors import ProtocolError
from cupool.contract.limits import Limits
from cupool.v1 import session_pb2 as pb

SAMPLE = 250


@pytest.fixture
def eager(monkeypatch):
    """Plans are made at once, however short a loop is."""
    monkeypatch.setattr(plans_module, "MANY_COMMANDS", 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_loops_leave_the_same_with_and_without_plans(eager):
    found = [check(seed) for seed in range(SAMPLE)]
    # The programs are what they are meant to be: some have plans, some plans are stopped in the middle.
    assert sum(s.planned for s in found) > SAMPLE // 5
    assert sum(s.stopped for s in found) > SAMPLE // 100


def looped(client, words, steps, rounds, count, *forms):
    """Run a batch that is one loop."""
    executor = client.executor
    batch = pb.Batch(
        seq=executor.executed_seq + 1, position=executor.executed_commands, count=count, forms=forms,
        commands=codec.pack_words(words)[0],
        loops=[pb.Loop(at=0, rounds=rounds, steps=codec.pack_words(steps)[0])],
    )  # fmt: skip
    outcome = executor.run(batch)
    client.writer.seq, client.writer.position = executor.executed_seq, executor.executed_commands
    return outcome


def chained(client, rounds, first=100):
    """`c = c + b`, the old `c` freed, from handle `first` on."""
    words = [client.forms["add"].id, first + 1, first, 2, 0, first]
    new = [] if "add" in client.sent else [client.forms["add"]]
    client.sent.add("add")
    return looped(client, words, [0, 1, 1, 0, 0, 1], rounds, 2 * rounds, *new)


def test_a_chain_keeps_only_its_last_result(eager):
    client = Client()
    client.array(100)
    client.array(2)
    before = client.used
    assert chained(client, 1000) == ([], [])
    assert set(client.executor.handles.table) == {2, 1100} and client.used == before
    assert client.fetch(1100).tolist() == (DATA + 1000 * DATA).tolist()
    statistics = client.executor.plans.statistics()
    assert (statistics.planned, statistics.stopped, statistics.commands) == (1, 0, 1998)
    chained(client, 500, 1100)
    assert client.fetch(1600).tolist() == (1501 * DATA).tolist()
    assert client.executor.plans.statistics().plans == 1


def test_plans_are_bounded_and_forgotten_with_their_forms(eager, monkeypatch):
    monkeypatch.setattr(plans_module, "MAX_PLANS", 3)
    client = Client()
    client.array(2)
    for k in range(5):
        one = form(100 + k, "add", [H, H], [spec((4,))])
        client.array(first := 1000 * (k + 1))
        looped(client, [one.id, first + 1, first, 2, 0, first], [0, 1, 1, 0, 0, 1], 5, 10, one)
    assert client.executor.plans.statistics().plans == 3
    client.run(("reset",))
    assert client.executor.plans.statistics().plans == 0


def test_a_program_may_have_no_plans_at_all():
    client = Client()
    client.executor.plans.is_on = False
    client.array(100)
    client.array(2)
    chained(client, 1000)
    assert client.fetch(1100).tolist() == (1001 * DATA).tolist()
    assert client.executor.plans.statistics().planned == 0


@pytest.mark.parametrize(
    ("loop", "sentence"),
    [
        (pb.Loop(at=0, rounds=2, steps=b"1234567"), "cannot be in"),
        (pb.Loop(at=0, rounds=2, steps=b""), "cannot be in"),
        (pb.Loop(at=1, rounds=2, steps=bytes(16)), "cannot be in"),
        (pb.Loop(at=0, rounds=0, steps=bytes(16)), "cannot be in"),
        (pb.Loop(at=1 << 63, rounds=2, steps=bytes(16)), "cannot be in"),
        (pb.Loop(at=0, rounds=1 << 63, steps=bytes(16)), "written out"),
        (pb.Loop(at=0, rounds=300, steps=bytes(16)), "written out"),
    ],
)
def test_a_loop_that_cannot_be_is_refused_and_nothing_was_executed(loop, sentence):
    client = Client(frame_bytes=4096)
    client.array(1)
    executed = client.executor.executed_commands
    batch = pb.Batch(seq=2, position=1, count=2, commands=codec.pack_words([0, 1])[0], loops=[loop])
    with pytest.raises(ProtocolError, match=sentence):
        client.executor.run(batch)
    assert client.executor.executed_commands == executed and 1 in client.executor.handles.table


def test_loops_that_overlap_are_refused():
    client = Client()
    loop = pb.Loop(at=0, rounds=2, steps=bytes(16))
    with pytest.raises(ProtocolError, match="cannot be in"):
        client.executor.run(pb.Batch(seq=1, count=4, commands=bytes(16), loops=[loop, loop]))


def test_a_count_that_does_not_fit_is_refused():
    client = Client()
    with pytest.raises(ProtocolError, match="cannot fit"):
        client.executor.run(pb.Batch(seq=1, count=5, commands=bytes(16), loops=[pb.Loop(rounds=2, steps=bytes(16))]))


@pytest.mark.parametrize("seed", range(30))
def test_what_is_found_is_what_was_packed(seed):
    random = np.random.default_rng(seed)
    width, rounds, prefix, tail = (int(random.integers(*ends)) for ends in ((1, 40), (4, 80), (0, 9), (0, 9)))
    first = random.integers(-(1 << 62), 1 << 62, width)
    steps = random.choice([0, 1, 2, -3, 1 << 62], width)  # they wrap
    body = (first + np.arange(rounds)[:, None] * steps).ravel().tolist()
    items = [*random.integers(0, 9, prefix).tolist(), *body, *random.integers(0, 9, tail).tolist()]
    words, _ = codec.pack_words(items)
    found = loops.find(items, words, prefix, width)
    assert found is not None and found.rounds >= loops.MIN_ROUNDS
    message = pb.Batch(seq=1, commands=loops.shortened(words, found))
    message.loops.add().ParseFromString(loops.encode(found.at, found.rounds, found.steps))
    assert loops.written_out(message, Limits()) == words
    assert len(message.commands) < len(words)


def test_a_view_beyond_an_array_of_no_elements_is_an_error():
    client = Client(
        more={"none": form(60, "@array", [V], [spec((0,))]), "two": form(61, "@view", [H, I], [spec((2,))])}
    )
    client.run(("none", 1, value(b"")), ("two", 2, 1, 0))
    assert "does not lie in its buffer" in client.failures[0].error.message


def test_a_stride_beyond_all_handles_is_not_gone_through(eager):
    """Handles 2^40 apart: what lies between them is looked for in the table, not one by one."""
    client = Client()
    client.array(2)
    looped(client, [client.forms["add"].id, 100, 2, 2], [0, 1 << 40, 0, 0], 5, 5, client.forms["add"])
    client.sent.add("add")
    assert client.executor.plans.statistics().commands == 4
    assert client.fetch(100 + (4 << 40)).tolist() == (2 * DATA).tolist()
    client.array(900 + (7 << 40))  # between the results of the loop that follows
    looped(client, [client.forms["add"].id, 101, 2, 2], [0, 2 << 40, 0, 0], 5, 5)
    assert client.executor.plans.statistics().commands == 4  # walked
    assert client.fetch(101 + (8 << 40)).tolist() == (2 * DATA).tolist()


def test_an_offset_that_leaves_64_bits_is_an_error_of_its_command(eager):
    client = Client()
    client.array(2)
    view = form(61, "@view", [H, I], [spec((1,))])
    outcome = looped(client, [61, 100, 2, 8, 0, 100], [0, 1, 0, (1 << 63) - 1, 0, 1], 5, 10, view)
    # Modulo 2^64 the rounds begin at bytes 8, 7 - 2^63, 6, 5 - 2^63 and 4.
    assert [failure.position for failure in outcome.failures] == [3, 7]


def test_a_keyword_that_is_no_word_of_python_reaches_no_source(eager, monkeypatch):
    """An implementation that takes any keyword: the name is data, however it is spelt."""
    client, taken = Client(), []

    def add(a, b, **options):
        taken.append(options)
        return np.add(a, b)

    monkeypatch.setitem(client.executor._impls, "add", add)
    client.array(2)
    one = form(61, "add", [H, H], [spec((4,))], **{"class": 1, "__debug__": 2})
    looped(client, [61, 100, 2, 2, 0, 100], [0, 1, 0, 0, 0, 1], 5, 10, one)
    assert client.executor.plans.statistics().stopped == 0 and client.executor.plans.statistics().planned == 1
    assert taken == [{"class": 1, "__debug__": 2}] * 6  # five rounds, and the look at what it gives


def test_a_handle_below_zero_is_refused_where_it_would_be_told():
    client = Client()
    client.array(2)
    add, into = client.forms["add"], form(61, "add", [H, H], [], out=H)
    batch = pb.Batch(
        seq=client.executor.executed_seq + 1, position=client.executor.executed_commands, count=3, forms=[add, into],
        commands=codec.pack_words([add.id, 7, 2, 2, add.id, -5, 2, 2, 61, 7, 99, -5])[0],
    )  # fmt: skip
    with pytest.raises(BrokenOff, match="Handle -5 is out of range"):
        client.executor.run(batch)


def test_an_array_whose_memory_is_larger_than_itself_is_accounted_once():
    """Strides of 24 for elements of 8 bytes: a view of it must not change what is given back."""
    client = Client(
        more={
            "wide": form(60, "@array", [V], [spec((200,), "<f8", (24,))]),
            "one": form(61, "@view", [H, I], [spec((1,))]),
        }
    )
    client.run(("wide", 5, value(bytes(1600))), ("one", 6, 5, 0))
    assert client.used == 2048
    client.run(("free", 5), ("free", 6))
    assert client.used == 0


@pytest.mark.parametrize("seed", range(40))
def test_loops_of_frees_leave_what_frees_one_by_one_leave(seed):
    """Of arrays, views, errors, handles that are unknown or out of range; one or several a round, upwards and downwards."""
    states = []
    for has_plans in (True, False):
        random = np.random.default_rng(seed)
        client = Client()
        client.executor.plans.is_on = has_plans
        handles = random.permutation(np.arange(1, 60))[:40].tolist()
        for handle in handles[:30]:
            client.array(handle)
        if random.random() < 0.4:
            for handle in handles[30:34]:
                client.run(("view", handle, handles[0], 8))
        if random.random() < 0.3:
            client.run(("add", handles[34], 4000, handles[1]))  # an error under a handle
        for _ in range(int(random.integers(1, 5))):
            width, rounds = int(random.integers(1, 4)), int(random.integers(1, 20))
            first = random.integers(-3, 60, width).tolist()
            steps = random.choice([0, 1, 1, 1, 2, -1, -3, 1 << 61], width).tolist()
            words = [word for handle in first for word in (0, handle)]
            rises = [word for step in steps for word in (0, step)]
            looped(client, words, rises, rounds, width * rounds)
        states.append((_state(client.executor), client.used))
    assert repr(states[0]) == repr(states[1])


def test_frees_of_plain_arrays_are_run_at_once():
    client = Client()
    before = client.used
    for handle in range(100, 200):
        client.array(handle)
    looped(client, [0, 90], [0, 1], 120, 120)
    assert not client.executor.handles.table and client.used == before
    assert client.executor.plans.statistics().commands == 120
