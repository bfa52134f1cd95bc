"""The pool's queue, placement and quotas: fair, bounded, and never more than there is."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from cupool.pool import placement, tenants
from cupool.pool.config import Quota
from cupool.pool.placement import DeviceView, Wish
from cupool.pool.queue import FairQueue, Outcome, QueueFull
from cupool.pool.rates import FreeRate
from cupool.pool.refusals import Refused
from cupool.pool.tenants import Tenant
from hypothesis import given
from hypothesis import strategies as st

# ---- queue


def drain_queue(queue, weights=None, slots=None):
    """Serve all; those served hold a slot for ever. Returns the items in order."""
    held, order = Counter(), []
    weights = weights or {}

    def attempt(place):
        if slots is not None and len(order) >= slots:
            return Outcome.PASSED
        held[place.tenant] += 1
        order.append(place.item)
        return Outcome.SERVED

    queue.serve(lambda t: held[t] / weights.get(t, 1.0), lambda t: weights.get(t, 1.0), attempt)
    return order


def test_a_flood_of_one_tenant_does_not_hold_up_another():
    queue = FairQueue(100)
    for i in range(10):
        queue.push("flood", 0, ("flood", i), 0, 100)
    queue.push("quiet", 0, ("quiet", 0), 1, 100)
    assert drain_queue(queue).index(("quiet", 0)) <= 1


def test_within_a_tenant_priority_then_age():
    queue = FairQueue(10)
    for priority, item in ((0, "a"), (5, "b"), (0, "c"), (5, "d"), (-1, "e")):
        queue.push("t", priority, item, 0, 10)
    assert drain_queue(queue) == ["b", "d", "a", "c", "e"]


def test_weights_share_what_there_is():
    queue = FairQueue(100)
    for i in range(40):
        queue.push("one", 0, "one", i, 100)
        queue.push("three", 0, "three", i, 100)
    assert Counter(drain_queue(queue, {"three": 3.0}, slots=40)) == {"three": 30, "one": 10}


def test_places_are_bounded_for_a_tenant_and_for_all():
    queue = FairQueue(3)
    with pytest.raises(QueueFull) as info:
        queue.push("t", 0, 0, 0, 0)
    assert info.value.of_tenant
    queue.push("t", 0, 0, 0, 1)
    with pytest.raises(QueueFull):
        queue.push("t", 0, 0, 0, 1)
    queue.push("u", 0, 0, 0, 9)
    queue.push("v", 0, 0, 0, 9)
    with pytest.raises(QueueFull) as info:
        queue.push("w", 0, 0, 0, 9)
    assert not info.value.of_tenant


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from("abc"), st.integers(-2, 2)),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("serve"), st.integers(0, 4)),
    ),
    max_size=40,
)


@given(_STEPS)
def test_nobody_is_lost_or_served_twice(steps):
    queue, places, served, held = FairQueue(12), [], [], Counter()
    removed = set()
    for step in steps:
        if step[0] == "push":
            try:
                places.append(queue.push(step[1], step[2], len(places), 0, 8))
            except QueueFull:
                assert len(queue) == 12 or queue.of(step[1]) == 8
        elif step[0] == "remove" and step[1] < len(places):
            place = places[step[1]]
            gone = place.item in removed or place.item in served
            assert queue.remove(place) is not gone
            removed |= set() if gone else {place.item}
        elif step[0] == "serve":
            most = len(served) + step[1]

            def attempt(place, most=most):
                if len(served) >= most:
                    return Outcome.TENANT_PASSED
                served.append(place.item)
                held[place.tenant] += 1
                return Outcome.SERVED

            queue.serve(lambda t: held[t], lambda _: 1.0, attempt)
        waiting = {p.item for p in queue}
        assert len(waiting) == len(queue) == len(places) - len(served) - len(removed)
        assert not waiting & set(served) and not waiting & removed and len(set(served)) == len(served)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 20), min_size=2), st.integers(1, 40))
def test_shares_differ_by_one_at_most_while_all_wait(wishes, slots):
    queue = FairQueue(1000)
    for tenant, count in wishes.items():
        for i in range(count):
            queue.push(tenant, 0, tenant, i, 100)
    got = Counter(drain_queue(queue, slots=slots))
    for tenant, count in wishes.items():
        if got[tenant] < count:  # it still waits: nobody has more than one more than it
            assert all(other <= got[tenant] + 1 for other in got.values())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=30))
def test_the_estimate_of_a_place_is_its_place_when_all_are_equal(pushes):
    queue = FairQueue(1000)
    places = [queue.push(t, p, i, i, 100) for i, (t, p) in enumerate(pushes)]
    ahead = {place.item: queue.ahead(place, lambda _: 0.0) for place in places}
    order = drain_queue(queue)
    assert all(abs(order.index(item) - guess) <= 3 for item, guess in ahead.items())


# ---- placement


def device(name="d", total=100, promised=0, sessions=0, most=4, warm=1, kind="cpu", load=0.0, is_open=True, default=25):
    return DeviceView(name, kind, total, promised, default, sessions, most, warm, load, is_open)


def test_best_fit_then_load_then_warm():
    choose = placement.choose
    tight, wide = device("tight", promised=60, sessions=1), device("wide")
    assert choose([wide, tight], Wish("", 30)).id == "tight"
    assert choose([wide, tight], Wish("", 50)).id == "wide"
    assert choose([device("busy", load=0.9), device("idle", load=0.1)], Wish("", 10)).id == "idle"
    assert choose([device("a", warm=1), device("b", warm=3)], Wish("", 10)).id == "b"


def test_what_cannot_take_a_session_is_not_chosen():
    for closed in (device(warm=0), device(is_open=False), device(sessions=4), device(kind="cuda"), device(promised=95)):
        assert placement.choose([closed], Wish("cpu", 10)) is None
    assert placement.choose([device()], Wish("", 10), kept={"d"}) is None
    assert placement.choose([device(total=0)], Wish("", 1 << 40)) is not None, "a device of unknown size takes all"


_DEVICES = st.lists(
    st.builds(
        device, st.uuids().map(str), st.sampled_from([0, 64, 100]), st.integers(0, 100), st.integers(0, 4), st.integers(1, 4),
        st.integers(0, 2), st.sampled_from(["cpu", "cuda"]), st.floats(0, 1), st.booleans(), st.integers(1, 50),
    ),
    max_size=5,
)  # fmt: skip
_WISHES = st.builds(Wish, st.sampled_from(["", "cpu", "cuda"]), st.integers(0, 120))


@given(_DEVICES, _WISHES)
def test_a_chosen_device_has_room_and_no_other_fits_better(devices, wish):
    chosen = placement.choose(devices, wish)
    able = [d for d in devices if d.warm and placement.has_room(d, wish)]
    assert (chosen is None) == (not able)
    if chosen is not None:
        assert chosen in able
        assert chosen.total_bytes - chosen.promised_bytes == min(d.total_bytes - d.promised_bytes for d in able)
        assert (
            not chosen.total_bytes or chosen.promised_bytes + placement.wanted_bytes(chosen, wish) <= chosen.total_bytes
        )


@given(_DEVICES, _WISHES)
def test_only_a_device_that_can_ever_serve_a_wish_is_kept_for_it(devices, wish):
    kept = placement.keep_for(devices, wish)
    able = [d.id for d in devices if d.is_open and placement.is_able(d, wish)]
    assert (kept in able) if able else kept == ""


# ---- quotas


def tenant(**quota):
    return Tenant("t", Quota(**quota))


def test_each_limit_is_told_by_its_word():
    cases = [
        (lambda: tenants.check_possible(tenant(memory_bytes=10), 11), "quota-memory"),
        (lambda: tenants.check_kernel(dataclasses.replace(tenant(kernel_s=1.0), ended_kernel_s=1.0)), "quota-kernel"),
    ]
    for call, word in cases:
        with pytest.raises(Refused) as info:
            call()
        assert info.value.word == word
    full = dataclasses.replace(tenant(sessions=2, memory_bytes=100), sessions=2)
    assert tenants.over_quota(full, 1).word == "quota-sessions"
    assert tenants.over_quota(dataclasses.replace(full, sessions=1, leased_bytes=90), 11).word == "quota-memory"
    assert tenants.over_quota(dataclasses.replace(full, sessions=1, leased_bytes=90), 10) is None


def test_no_quota_is_no_limit():
    free = dataclasses.replace(tenant(), sessions=10**6, leased_bytes=1 << 60, ended_kernel_s=1e9)
    tenants.check_possible(free, 1 << 60)
    tenants.check_kernel(free)
    assert tenants.over_quota(free, 1 << 60) is None
    for _ in range(1000):
        tenants.take_open(free, 0.0)


@given(st.floats(0.2, 50), st.lists(st.floats(0, 0.5), max_size=200))
def test_opens_never_exceed_rate_and_burst(rate, pauses):
    mine, now, taken = tenant(opens_per_s=rate), 0.0, 0
    for pause in pauses:
        now += pause
        try:
            tenants.take_open(mine, now)
            taken += 1
        except Refused as refused:
            later = now + refused.retry_ms / 1000
            tenants.take_open(dataclasses.replace(mine), later)  # the time that it tells is enough
        assert taken <= max(1.0, rate) + rate * now + 1e-6


def test_the_rate_of_ends_says_how_long_a_place_takes():
    rate = FreeRate()
    assert rate.wait_s(1, 0.0) is None
    for i in range(20):
        rate.add(i * 0.1)
    assert rate.wait_s(10, 2.0) == pytest.approx(1.0)
    assert rate.retry_ms(10, 2.0) == pytest.approx(1000, abs=1)
    assert rate.wait_s(1, 100.0) is None, "what is long ago says nothing"
