"""What the balancer decides: each policy on small pools, and what holds for all of them on random ones."""

from __future__ import annotations

import dataclasses
import random

import pytest
from cupool.balancer import costs, messages, policy, rules
from cupool.balancer.policy import Memory, Tuning, decide
from cupool.balancer.snapshot import Device, Session, Snapshot, Waiting

GIB = 1 << 30


def device(id: str, sessions: int = 0, **more: object) -> Device:
    values: dict[str, object] = {"memory_bytes": 8 * GIB, "promised_bytes": sessions * GIB, "sessions": sessions}
    return Device(id, **{**values, **more})  # type: ignore[arg-type]


def session(id: str, on: str, utilisation: float = 0.5, **more: object) -> Session:
    values: dict[str, object] = {"memory_bytes": GIB, "used_bytes": GIB // 8, "age_s": 30.0}
    return Session(id, on, utilisation=utilisation, **{**values, **more})  # type: ignore[arg-type]


def pool(*parts: Device | Session | Waiting, policy: str = "cost-aware") -> Snapshot:
    return Snapshot(
        100.0,
        tuple(p for p in parts if isinstance(p, Device)),
        tuple(p for p in parts if isinstance(p, Session)),
        tuple(p for p in parts if isinstance(p, Waiting)),
        policy,
    )


def moves(snapshot: Snapshot, memory: Memory | None = None) -> list[tuple[str, str]]:
    return [(m.session, m.destination) for m in decide(snapshot, memory).moves]


CROWDED = device("a", 2), device("b"), session("s", "a"), session("t", "a")


def test_two_that_share_a_device_part_where_another_is_idle() -> None:
    decision = decide(pool(*CROWDED))
    (move,) = decision.moves
    assert (move.session, move.source, move.destination) == ("s", "a", "b")
    assert move.gain_s > 2 * move.cost_s > 0
    assert "a is shared by 2 sessions" in move.reason


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cordoned": True}, "it is cordoned"),
        ({"draining": True}, "it is being drained"),
        ({"failed": True}, "it has failed"),
        ({"is_connected": False}, "its agent is away"),
        ({"max_sessions": 0}, "it has all its 0 sessions"),
        ({"memory_bytes": GIB - 1}, "its memory is promised"),
        ({"fingerprint": "numpy 1"}, "its libraries differ"),
        ({"kind": "cuda"}, "it is of another kind"),
        ({"power_w": 90.0, "power_limit_w": 100.0}, "above 80% of its power limit"),
    ],
)
def test_nothing_goes_to_a_device_that_cannot_take_it(change: dict[str, object], why: str) -> None:
    a, b, s, t = CROWDED
    snapshot = pool(a, dataclasses.replace(b, **change), s, t)  # type: ignore[arg-type]
    for name in policy.POLICIES:
        assert moves(dataclasses.replace(snapshot, policy=name)) == []
    assert why in policy.explain(snapshot, "s")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"fixed": "it has a captured graph"}, "cannot be moved: it has a captured graph"),
        ({"moving": True, "destination": "c"}, "under way"),
        ({"last_move_s": 1.0, "moves": 1}, "rests for 5 s"),
        ({"last_move_s": 9.0, "moves": 3}, "rests for 15 s"),
        ({"age_s": 0.4}, "nothing is known of it yet"),
        ({"attached": False}, "its client is away"),
        ({"age_s": 1.0, "used_bytes": 4 * GIB}, "would not pay"),
        ({"used_bytes": 1 << 40, "memory_bytes": 0}, "would not pay"),
        ({"used_bytes": 6 * GIB, "dirty_bytes_a_s": 4.0 * GIB}, "would not converge"),
    ],
)
def test_a_session_that_cannot_move_or_gains_too_little_stays(change: dict[str, object], why: str) -> None:
    a, b, s, t = CROWDED
    changed = [dataclasses.replace(x, **change) for x in (s, t)]  # type: ignore[arg-type]
    assert moves(pool(a, b, *changed)) == []
    assert why in policy.explain(pool(a, b, *changed), "s")


def test_what_moved_a_while_ago_moves_again_only_for_more_than_noise() -> None:
    def chosen(**change: object) -> list[tuple[str, str]]:
        # u keeps b busy for less of the time than s and t want of a: a little is to be gained.
        s, t = (session(name, "a", 0.5, **change) for name in ("s", "t"))
        return moves(pool(device("a", 2), device("b", 1), s, t, session("u", "b", 0.6, fixed="it stays")))

    assert [to for _, to in chosen()] == ["b"]
    assert chosen(moves=2, last_move_s=30.0) == []
    assert [to for _, to in chosen(moves=2, last_move_s=130.0)] == ["b"]
    # Where much is to be gained it moves as before.
    s, t = (session(name, "a", 0.5, moves=2, last_move_s=30.0) for name in ("s", "t"))
    assert [to for _, to in moves(pool(device("a", 2), device("b"), s, t))] == ["b"]


def test_a_failed_move_is_tried_again_later_and_later() -> None:
    memory = Memory().noted("s", 99.0, failed=True).noted("t", 99.0, failed=True)
    assert moves(pool(*CROWDED), memory) == []
    assert moves(dataclasses.replace(pool(*CROWDED), at_s=104.1), memory)
    again = memory.noted("s", 104.2, failed=True).noted("t", 104.2, failed=True)
    assert moves(dataclasses.replace(pool(*CROWDED), at_s=110.0), again) == []
    assert decide(pool(*CROWDED), Memory().noted("gone", 1.0, failed=True)).memory.failures == {}
    assert memory.noted("s", 105.0, failed=False).failures.keys() == {"t"}


def test_dgsf_fills_an_empty_device_then_rests_and_moves_a_session_once() -> None:
    snapshot = pool(*CROWDED, policy="dgsf")
    first = decide(snapshot)
    assert [m.session for m in first.moves] == ["s"]
    assert moves(dataclasses.replace(snapshot, at_s=104.9), first.memory) == []
    assert moves(dataclasses.replace(snapshot, at_s=105.0), first.memory) == [("s", "b")]
    a, b, s, t = CROWDED
    moved = [dataclasses.replace(x, moves=1, last_move_s=1000.0) for x in (s, t)]
    assert moves(pool(a, b, *moved, policy="dgsf")) == []
    assert moves(pool(a, device("b", 1), s, t, session("u", "b", 0.0), policy="dgsf")) == []


def test_pack_empties_a_device_only_where_all_of_it_fits() -> None:
    busy = [session(f"b{n}", "b", 0.1) for n in range(3)]
    light = [session("s", "a", 0.1), session("t", "a", 0.1)]
    assert moves(pool(device("a", 2), device("b", 3), *light, *busy, policy="pack")) == [("s", "b")]
    heavy = [session("s", "a", 0.1), session("t", "a", 0.6)]
    assert moves(pool(device("a", 2), device("b", 3), *heavy, *busy, policy="pack")) == []
    stays = [session("s", "a", 0.1), session("t", "a", 0.1, fixed="it has a stream")]
    assert moves(pool(device("a", 2), device("b", 3), *stays, *busy, policy="pack")) == []


def test_spread_evens_out_counts() -> None:
    three = [session(f"s{n}", "a", 0.0) for n in range(3)]
    assert moves(pool(device("a", 3), device("b", 1), *three, session("t", "b"), policy="spread")) == [("s0", "b")]
    assert moves(pool(device("a", 2), device("b", 1), *three[:2], session("t", "b"), policy="spread")) == []


def test_a_drained_or_failed_device_is_left_by_priority_then_size_without_a_rest() -> None:
    leaving = [
        session("big", "a", used_bytes=GIB, last_move_s=0.1, moves=5),
        session("small", "a", last_move_s=0.1, moves=5),
        session("urgent", "a", used_bytes=GIB, priority=1),
    ]
    for change in ({"draining": True}, {"failed": True}):
        for name in policy.POLICIES:
            for left in range(3, 0, -1):
                there = leaving[:left]
                wanted = {3: "urgent", 2: "small", 1: "big"}[left]
                snapshot = pool(device("a", left, **change), device("b"), *there, policy=name)
                assert moves(snapshot) == ([] if name == "none" else [(wanted, "b")])
    away = pool(device("a", 1, draining=True, is_connected=False), device("b"), leaving[0])
    assert moves(away) == []
    assert "agent of a is away" in policy.explain(away, "big")


def test_room_is_made_for_who_waits_where_no_device_has_it_and_together_they_have() -> None:
    # Each has 2 GiB left, 4 are wanted.
    devices = [device(d, 3, promised_bytes=6 * GIB, memory_bytes=8 * GIB) for d in "ab"]
    there = [session(f"{d}{n}", d, 0.0, memory_bytes=2 * GIB, used_bytes=1 << 20) for d in "ab" for n in range(3)]
    late = Waiting("other", 4 * GIB, waited_s=3.0)
    decision = decide(pool(*devices, *there, late))
    assert [(m.session, m.destination) for m in decision.moves] == [("a0", "b")]
    assert "Makes room on a for one of other" in decision.moves[0].reason
    for hopeless in (
        dataclasses.replace(late, waited_s=0.1),
        dataclasses.replace(late, kind="cuda"),
        dataclasses.replace(late, memory_bytes=9 * GIB),
        dataclasses.replace(late, memory_bytes=5 * GIB),
        dataclasses.replace(late, memory_bytes=2 * GIB),  # it has room
    ):
        assert moves(pool(*devices, *there, hopeless)) == []


def test_a_device_too_hot_gives_to_a_cooler_one() -> None:
    hot = device("a", 1, power_w=300.0, power_limit_w=300.0, utilisation=0.8)
    assert moves(pool(hot, device("b"), session("s", "a", 0.8))) == [("s", "b")]
    warm = dataclasses.replace(hot, power_w=250.0)
    assert moves(pool(warm, device("b"), session("s", "a", 0.8))) == []


def test_what_others_outside_the_pool_take_of_a_device_counts() -> None:
    s = session("s", "a", 0.5)
    decision = decide(pool(device("a", 1, utilisation=1.0, kind="cuda"), device("b", kind="cuda"), s))
    assert [(m.session, m.destination) for m in decision.moves] == [("s", "b")]
    assert decision.moves[0].reason.startswith("a has one session and is wanted for 75% of the time, b for 0%")
    assert moves(pool(device("a", 1, utilisation=0.55, kind="cuda"), device("b", kind="cuda"), s)) == []


def test_on_a_cpu_device_there_is_nobody_outside_the_pool() -> None:
    """Its utilisation is its sessions' own: one that is alone there, between a busy phase and an idle one, stays."""
    assert moves(pool(device("a", 1, utilisation=1.0), device("b"), session("s", "a", 0.5))) == []
    other = session("t", "b", 0.5), session("u", "b", 0.5)
    to_cpu = pool(device("a", utilisation=1.0), device("b", 2), *other)
    assert moves(to_cpu) == [("t", "a")]  # what a session that has ended left in the average is not in the way


def test_of_equals_the_less_urgent_moves() -> None:
    a, b, s, t = CROWDED
    assert moves(pool(a, b, dataclasses.replace(s, priority=3), t)) == [("t", "b")]


def test_every_policy_of_the_contract_has_a_rule() -> None:
    assert list(rules.RULES) == list(policy.POLICIES)


def test_an_unknown_policy_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValueError, match="no balancing policy 'best'; there are cost-aware"):
        decide(pool(policy="best"))
    with pytest.raises(KeyError):
        policy.explain(pool(), "nobody")


def test_demands_have_the_product_that_was_measured() -> None:
    assert costs.demands([0.4], 0.99) == pytest.approx([0.4])
    assert costs.demands([0.0, 0.0], 0.99) == [0.0, 0.0]
    one, other = costs.demands([0.3, 0.5], 0.99)
    assert (1 - one) * (1 - other) == pytest.approx(1 - 0.8)
    assert costs.demands([1.0] * 4, 0.99) == [0.99] * 4
    assert all(0.25 < d < 0.99 for d in costs.demands([0.25] * 4, 0.99))


# ---- random pools


def random_pool(seed: int, name: str) -> Snapshot:
    draw = random.Random(seed)
    devices, sessions = [], []
    for n in range(draw.randrange(1, 9)):
        on = [
            session(
                f"s{n}.{k}",
                f"d{n}",
                draw.choice([0.0, draw.random()]),
                priority=draw.randrange(3),
                memory_bytes=draw.randrange(3) * GIB,
                used_bytes=draw.randrange(1 << draw.randrange(20, 34)),
                dirty_bytes_a_s=draw.choice([0.0, draw.random() * 4e9]),
                age_s=draw.random() * 100,
                last_move_s=draw.choice([-1.0, draw.random() * 60]),
                moves=draw.randrange(4),
                moving=draw.random() < 0.05,
                destination=f"d{draw.randrange(8)}",
                attached=draw.random() < 0.9,
                fixed=draw.choice(["", "", "", "", "", "it holds a pointer"]),
            )
            for k in range(draw.randrange(6))
        ]
        promised = sum(s.memory_bytes for s in on)
        devices.append(
            device(
                f"d{n}",
                len(on) + draw.randrange(2),
                kind=draw.choice(["cpu", "cpu", "cuda"]),
                fingerprint=draw.choice(["x", "x", "x", "y"]),
                memory_bytes=draw.choice([0, promised + draw.randrange(6) * GIB]),
                promised_bytes=promised,
                max_sessions=len(on) + 1 + draw.randrange(4),
                utilisation=draw.random(),
                cordoned=draw.random() < 0.1,
                draining=draw.random() < 0.1,
                failed=draw.random() < 0.1,
                is_connected=draw.random() < 0.9,
                node=f"n{n % 3}",
                power_w=draw.random() * 110,
                power_limit_w=draw.choice([0.0, 100.0]),
                link_bytes_a_s=draw.choice([0.0, draw.random() * 1e9]),
            )
        )
        sessions += on
    waiting = [Waiting("w", draw.randrange(8) * GIB, draw.choice(["", "cpu"]), draw.random() * 9) for _ in range(3)]
    return Snapshot(float(seed), tuple(devices), tuple(sessions), tuple(waiting), name)


@pytest.mark.parametrize("name", policy.POLICIES)
def test_what_must_never_happen_does_not(name: str) -> None:
    chosen = 0
    for seed in range(250):
        snapshot = random_pool(seed, name)
        decision = decide(snapshot)
        devices, sessions = {d.id: d for d in snapshot.devices}, {s.id: s for s in snapshot.sessions}
        under_way = {d for s in sessions.values() if s.moving for d in (s.device, s.destination)}
        taking_part = [d for m in decision.moves for d in (m.source, m.destination)]
        assert len(set(taking_part)) == len(taking_part)
        assert not under_way & set(taking_part)
        assert len({m.session for m in decision.moves}) == len(decision.moves)
        for move in decision.moves:
            who, source, to = sessions[move.session], devices[move.source], devices[move.destination]
            assert who.device == source.id and not who.moving and not who.fixed and move.reason
            assert to.is_connected and not (to.cordoned or to.draining or to.failed)
            assert (to.kind, to.fingerprint) == (source.kind, source.fingerprint)
            assert to.sessions + 1 <= to.max_sessions
            assert not to.memory_bytes or to.promised_bytes + who.memory_bytes <= to.memory_bytes
            assert not costs.is_hot(to, Tuning().power_warm)
            assert source.is_connected
            if not (source.draining or source.failed):
                assert who.last_move_s < 0 or who.last_move_s >= Tuning().cooldown_s
        for who in list(sessions)[:2]:
            assert policy.explain(snapshot, who)
        chosen += len(decision.moves)
    assert chosen > 20 or name == "none"


@pytest.mark.parametrize("name", policy.POLICIES)
def test_the_order_of_the_input_does_not_matter(name: str) -> None:
    for seed in range(80):
        snapshot = random_pool(seed, name)
        draw = random.Random(seed)
        shuffled = dataclasses.replace(
            snapshot,
            devices=tuple(draw.sample(snapshot.devices, len(snapshot.devices))),
            sessions=tuple(draw.sample(snapshot.sessions, len(snapshot.sessions))),
            waiting=tuple(draw.sample(snapshot.waiting, len(snapshot.waiting))),
        )
        assert decide(shuffled) == decide(snapshot)


def test_the_messages_carry_all_of_a_snapshot_and_refuse_what_is_no_number() -> None:
    for seed in range(50):
        snapshot = random_pool(seed, "cost-aware")
        assert messages.snapshot_of(messages.snapshot_message(snapshot)) == snapshot
    broken = messages.snapshot_message(pool(*CROWDED))
    broken.devices[0].utilisation = float("nan")
    with pytest.raises(ValueError, match="the number nan"):
        messages.snapshot_of(broken)
    twice = messages.snapshot_message(pool(*CROWDED, session("s", "b")))
    with pytest.raises(ValueError, match="one session twice"):
        messages.snapshot_of(twice)
    decision = decide(pool(*CROWDED))
    told = messages.decision_message(decision, 1.5, {"t": "It stays."})
    assert (told.moves[0].session, told.took_ms, told.sessions[0].session) == ("s", 1.5, "t")


# ---- applied again and again


def measured(demands: dict[str, float], where: dict[str, str], at: str) -> dict[str, float]:
    """What sessions of a device get that want it for a share of the time each, at random: processor sharing."""
    here = [s for s, d in where.items() if d == at]
    got = {}
    for who in here:
        # Of its moments, those that n others want too are worth 1/(n + 1).
        others = [1.0]
        for other in here:
            if other != who:
                p = demands[other]
                others = [
                    (others[n] if n < len(others) else 0) * (1 - p) + (others[n - 1] * p if n else 0)
                    for n in range(len(others) + 1)
                ]
        got[who] = demands[who] * sum(q / (n + 1) for n, q in enumerate(others))
    return got


@pytest.mark.parametrize("name", [n for n in policy.POLICIES if n != "none"])
def test_with_constant_load_decisions_come_to_an_end_and_nothing_flaps(name: str) -> None:
    for seed in range(8):
        draw = random.Random(seed)
        ids = [f"d{n}" for n in range(draw.randrange(2, 7))]
        where = {f"s{n}": draw.choice(ids) for n in range(draw.randrange(2, 16))}
        wants = {s: draw.choice([draw.random(), draw.random() * 0.2, 1.0]) for s in where}
        moved_at: dict[str, float] = {}
        counts = dict.fromkeys(where, 0)
        left: dict[tuple[str, str], float] = {}
        memory = Memory()
        last = 0.0
        has_changed = True
        for step in range(600):
            now = 10.0 + step * 0.5
            if has_changed:
                got = {s: u for d in ids for s, u in measured(wants, where, d).items()}
            on = {d: [s for s in where if where[s] == d] for d in ids}
            devices = tuple(
                device(d, len(on[d]), max_sessions=16, memory_bytes=64 * GIB, utilisation=sum(got[s] for s in on[d]))
                for d in ids
            )
            since = {s: now - moved_at[s] if s in moved_at else -1.0 for s in where}
            there = (session(s, d, got[s], age_s=now, moves=counts[s], last_move_s=since[s]) for s, d in where.items())
            snapshot = Snapshot(now, devices, tuple(there), policy=name)
            decision = decide(snapshot, memory)
            memory, has_changed = decision.memory, bool(decision.moves)
            for move in decision.moves:
                back = left.get((move.session, move.destination))
                assert back is None or now - back >= Tuning().cooldown_s
                left[move.session, move.source] = now
                where[move.session] = move.destination
                moved_at[move.session], last = now, now
                counts[move.session] += 1
            if now - max(last, 10.0) > Tuning().cooldown_s * Tuning().longest_cooldowns + 1.0:
                break  # every rest is over and nothing has moved
        else:
            raise AssertionError(f"seed {seed}: still moving after {step} decisions")
        assert sum(counts.values()) <= 2 * len(where), f"seed {seed}: {counts}"
