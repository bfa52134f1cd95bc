"""The policies: each a function that chooses moves on a `Board`. `policy.decide` calls them; the table is at the end."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator

from . import costs
from .board import Board, general
from .snapshot import Device, Session, Waiting
from .tuning import Tuning

# ---- what every policy but `none` does first


def evacuate(board: Board) -> None:
    """Everything leaves devices that are drained or have failed: the highest priority first, then the smallest, one at a time."""
    for source in sorted(board.sources(), key=lambda d: d.id):
        if not (source.draining or source.failed):
            continue
        why = "it is being drained" if source.draining else "it has failed"
        going = sorted(
            board.movable(source, rest=False), key=lambda s: (-s.priority, s.used_bytes, s.memory_bytes, s.id)
        )
        if board.is_full():
            return
        for session in going:
            found = board.first_fit(session, source)
            if found is None:
                board.refused[f"no device has room for what must leave {source.id}"] += 1
                continue
            cost_s = _cost_s(board, session, source, found)
            board.choose(session, found, f"{source.id} must be left: {why}.", cost_s=cost_s)
            break


def _cost_s(board: Board, session: Session, source: Device, destination: Device) -> float:
    return costs.cost_s(session, costs.link_bytes_a_s(source, destination, board.tuning), destination, board.tuning)


# ---- cost-aware


def cost_aware(board: Board) -> None:
    """Moves what saves more time than it costs, by a margin: see Note [What sharing costs]."""
    _make_room(board)
    _relieve(board)


def _relieve(board: Board) -> None:
    tuning = board.tuning
    sources: list[tuple[int, float, str]] = []  # the hot first, then the most loaded
    # Less load than this cannot lose `least_rate` to sharing, whoever shares it.
    for source in board.sources(1.0 - (1.0 - math.sqrt(tuning.least_rate)) ** 2):
        sources.append((0, -board.load(source), source.id))
    hot_ones = [d for d in board.snapshot.devices if d.power_limit_w and costs.is_hot(d, tuning.power_hot)]
    if hot_ones:
        hot_ids = {d.id for d in hot_ones}
        hottest = [(-1, -board.load(d), d.id) for d in board.sources() if d.id in hot_ids]
        sources = hottest + [s for s in sources if s[2] not in hot_ids]
    sources.sort()
    begin = board.memory.looked % len(sources) if len(sources) > tuning.most_sources else 0
    looked, skipped = 0, 0
    for hot, load, id in itertools.chain(sources[begin:], sources[:begin]):
        if looked == tuning.most_sources or board.is_full():
            board.looked = begin + looked + skipped
            board.refused["left for the next decision"] += len(sources) - looked - skipped
            break
        source = board.devices[id]
        if id in board.busy or not (hot or _may_relieve(board, source)):
            skipped += 1  # it is a destination by now, or no device is idle enough for any of its sessions
            continue
        looked += 1
        best = _best_relief(board, source)
        if best is not None:
            _, _, session, destination, rate, gain_s, cost_s = best
            board.choose(
                session,
                destination,
                f"{id} {_held_by(board, source)} wanted for {-load:.0%} of the time, "
                f"{destination.id} for {board.load(destination):.0%}: {rate:.2f} s saved a second.",
                gain_s,
                cost_s,
            )
    if not sources:
        board.refused["no device is contended"] += 1
    elif skipped:
        board.refused["no other device is idle enough for a contended one"] += skipped


def _held_by(board: Board, source: Device) -> str:
    count = board.count(source)
    return f"is shared by {count} sessions and" if count > 1 else "has one session and is"


def _may_relieve(board: Board, source: Device) -> bool:
    """Whether the best destination could be worth it for some session, whatever its demand is."""
    best = next(board.takers(source), None)
    if best is None:
        return False
    return costs.most_saved(board.load(source), board.load(best)) >= board.tuning.least_rate


_Relief = tuple[float, int, Session, Device, float, float, float]


def _best_relief(board: Board, source: Device) -> _Relief | None:
    """The session of the device whose move saves most after its cost; None where none is worth it."""
    wants, idle = wants_of(board, source)
    best: _Relief | None = None
    for session, wanted in wants:
        found = relief(board, session, source, wanted, idle)
        if isinstance(found, str):
            board.refused[general(found)] += 1
            continue
        destination, rate, gain_s, cost_s = found
        # Of equals the less urgent bears the pause.
        candidate = -(gain_s - cost_s), session.priority, session, destination, rate, gain_s, cost_s
        if best is None or (candidate[:2], session.id) < (best[:2], best[2].id):
            best = candidate
    return best


def wants_of(board: Board, source: Device) -> tuple[list[tuple[Session, float]], float]:
    """The demands of a device's sessions, by id, and the probability that nobody wants it."""
    full = board.tuning.full
    sessions = board.there(source)
    used = [s.utilisation for s in sessions]
    wants = costs.demands(used, full)
    idle = math.prod([1.0 - d for d in wants])
    foreign = source.utilisation - math.fsum(used)
    if foreign > board.tuning.foreign and costs.is_measured_apart(source):
        idle *= 1.0 - min(full, foreign)
    return list(zip(sessions, wants, strict=True)), idle


def relief(
    board: Board, session: Session, source: Device, wanted: float, idle: float, words: bool = False
) -> tuple[Device, float, float, float] | str:
    """The destination of a session, with the saving in each second, the gain and the cost; or why it stays.

    Args:
        wanted: its demand.
        idle: the probability that nobody wants its device.
        words: with the figures, for people.
    """
    tuning = board.tuning
    others_idle = min(1.0, idle / (1.0 - wanted))
    hot = costs.is_hot(source, tuning.power_hot)
    if not hot and (lost := wanted * (1.0 - others_idle)) < tuning.least_rate:
        why = "it loses too little to others"
        return f"{why}: {lost:.3f} s a second" if words else why
    if fixed := board.why_fixed(session):
        return fixed
    left_s = costs.remaining_s(session, tuning)
    if left_s <= 0.0:
        return "nothing is known of it yet, or its client is away"
    best: tuple[Device, float, float, float] | None = None
    least_rate = _least_rate(session, tuning)
    why = "no device has room for it"
    for destination in board.fits(session, source):
        rate = wanted * (1.0 - board.load(destination) - others_idle)
        if hot:
            # Above its limit a device slows down all that runs on it; below it, it nearly does.
            rate += wanted * (source.power_w / source.power_limit_w - tuning.power_warm)
        if rate < least_rate:
            why = "no device with room for it is idle enough"
            if words:
                why += f": {destination.id} is wanted for {board.load(destination):.0%} of the time, it would save {rate:.3f} s a second"
            continue
        link = costs.link_bytes_a_s(source, destination, tuning)
        if not costs.does_converge(session, link, tuning):
            why = "a copy of it would not converge"
            if words:
                why += f": it writes {session.dirty_bytes_a_s / 2**20:.0f} MiB/s, the link carries {link / 2**20:.0f}"
            continue
        gain_s = rate * left_s
        cost_s = costs.cost_s(session, link, destination, tuning)
        if gain_s < tuning.margin * cost_s:
            why = "a move would not pay"
            if words:
                why += f": {gain_s:.2f} s saved, {cost_s:.2f} s of cost, and {tuning.margin:g} times that is asked for"
            continue
        if best is None or gain_s - cost_s > best[2] - best[3]:
            best = destination, rate, gain_s, cost_s
    return why if best is None else best


def _least_rate(session: Session, tuning: Tuning) -> float:
    """What a move of the session must save in each second."""
    moved = min(session.moves, tuning.most_restless) if 0.0 <= session.last_move_s < tuning.restless_s else 0
    return tuning.least_rate * (1 + moved)


def _make_room(board: Board) -> None:
    """Moves the session whose leaving lets one in who waits, where no device has room for that one and together they have."""
    late = [w for w in board.snapshot.waiting if w.waited_s >= board.tuning.waited_s]
    late.sort(key=lambda w: (-w.priority, -w.waited_s, w.kind, w.memory_bytes, w.tenant))
    wishes: dict[tuple[str, int], Waiting] = {}
    for wish in late:
        # One of each sort: the next decision sees what has become of it.
        wishes.setdefault((wish.kind, wish.memory_bytes), wish)
    placeable: dict[str, list[Device]] = {}
    for wish in itertools.islice(wishes.values(), _WISHES):
        if board.is_full():
            return
        if wish.kind not in placeable:
            placeable[wish.kind] = [d for d in board.snapshot.devices if _may_place(d) and wish.kind in ("", d.kind)]
        open_ = placeable[wish.kind]
        if any(d.sessions < d.max_sessions and _lack(d, wish) <= 0 for d in open_):
            continue  # it has room: its server is being started
        able = [d for d in open_ if not d.memory_bytes or d.memory_bytes >= wish.memory_bytes]
        sources = heapq.nsmallest(board.tuning.reach, able, key=lambda d: (max(0, _lack(d, wish)), d.sessions, d.id))
        best = min(
            (c for d in sources if d.id not in board.busy and board.count(d) for c in _leavers(board, d, wish)),
            key=lambda c: (c[0], c[1].priority, c[1].id),
            default=None,
        )
        gain_s = min(wish.waited_s, board.tuning.horizon_s)
        if best is None:
            board.refused["no single move makes room for those who wait"] += 1
        elif gain_s < board.tuning.margin * best[0]:
            board.refused["making room for those who wait would not pay yet"] += 1
        else:
            cost_s, session, destination = best
            board.choose(
                session,
                destination,
                f"Makes room on {session.device} for one of {wish.tenant} that has waited {wish.waited_s:.1f} s "
                f"for {wish.memory_bytes} bytes.",
                gain_s,
                cost_s,
            )


#: How many sorts of those who wait are looked at in one decision.
_WISHES = 8


def _leavers(board: Board, source: Device, wish: Waiting) -> Iterator[tuple[float, Session, Device]]:
    """Sessions of the device whose leaving makes room enough, with the cost and the destination."""
    tuning, lack = board.tuning, _lack(source, wish)
    for session in board.movable(source):
        destination = board.first_fit(session, source) if session.memory_bytes >= lack else None
        if destination is None:
            continue
        link = costs.link_bytes_a_s(source, destination, tuning)
        if costs.does_converge(session, link, tuning):
            # What it loses to its new neighbours counts too.
            loses_s = session.utilisation * board.load(destination) * costs.remaining_s(session, tuning)
            yield costs.cost_s(session, link, destination, tuning) + loses_s, session, destination


def _may_place(device: Device) -> bool:
    return device.is_connected and not (device.cordoned or device.draining or device.failed)


def _lack(device: Device, wish: Waiting) -> int:
    """How many bytes it is short of."""
    return device.promised_bytes + wish.memory_bytes - device.memory_bytes if device.memory_bytes else 0


# ---- DGSF's rule, for comparison


def dgsf(board: Board) -> None:
    """A device with more than one session, and another with none: one session goes there. Then a rest of 5 s for the whole pool, and a
    session moves once in its life (github.com/utcs-scea/DGSF-AvA, scheduling strategy 1). Cost, size and utilisation do not count."""
    tuning, memory = board.tuning, board.memory
    if memory.moved_at_s is not None and 0.0 <= board.snapshot.at_s - memory.moved_at_s < tuning.dgsf_cooldown_s:
        board.refused[f"the pool rests for {tuning.dgsf_cooldown_s:g} s after a move"] += 1
        return
    crowded = [d for d in board.sources() if board.count(d) > 1]
    for source in sorted(crowded, key=lambda d: (-board.count(d), d.id)):
        # There the next launch decides who goes: the one that launches most.
        for session in sorted(board.movable(source), key=lambda s: (-s.utilisation, s.id)):
            if session.moves:
                board.refused["a session moves once"] += 1
                continue
            for device in board.takers(source):
                if device.sessions == 0 and not board.why_not_to(session, source, device):
                    board.choose(session, device, f"{source.id} has {board.count(source)} sessions, {device.id} none.")
                    return
    board.refused[
        "no device is empty while another has several sessions" if crowded else "no device has several sessions"
    ] += 1


# ---- pack and spread


def pack(board: Board) -> None:
    """Frees whole devices: empties the one with the fewest sessions into those that have as many or more, where all of it fits."""
    tuning = board.tuning
    groups: dict[tuple[str, str], list[Device]] = {}
    for device in board.sources():
        groups.setdefault((device.kind, device.fingerprint), []).append(device)
    for _, order in sorted(groups.items()):
        order.sort(key=lambda d: (d.sessions, d.promised_bytes, d.id))
        room = {d.id: _room(board, d) for d in order if not board.why_closed(d)}
        planned: set[str] = set()  # sources and destinations of this decision's plans
        plans = misses = 0
        for at, source in enumerate(order):
            if plans + misses >= tuning.reach or board.is_full():
                break  # the rest is for the next decisions
            if source.id in board.busy or source.id in planned or board.count(source) != source.sessions:
                continue
            later = (order[n] for n in range(len(order) - 1, at, -1))
            fuller = itertools.islice((d for d in later if d.id in room and d.id not in board.busy), tuning.reach)
            sessions = board.movable(source)
            # Where one stays, the device would not become free.
            placed = (
                _pack_all(sessions, list(fuller), room, tuning.packed) if len(sessions) == source.sessions else None
            )
            if placed is None:
                misses += 1
                board.refused["a device's sessions cannot all go, or do not fit beside others"] += 1
                continue
            plans += 1
            session, destination = placed[0]
            planned |= {source.id, *(d.id for _, d in placed)}
            reason = f"Frees {source.id}: its {len(sessions)} sessions fit beside others."
            board.choose(session, destination, reason, cost_s=_cost_s(board, session, source, destination))
    if not board.chosen:
        board.refused["no device can be emptied"] += 1


def _room(board: Board, device: Device) -> list[float]:
    """Bytes, places and share of the time that are left."""
    left = device.memory_bytes - device.promised_bytes if device.memory_bytes else math.inf
    return [left, device.max_sessions - device.sessions, board.load(device)]


def _pack_all(
    sessions: list[Session], fuller: list[Device], room: dict[str, list[float]], packed: float
) -> list[tuple[Session, Device]] | None:
    """A place for each session, the largest first, on the fullest device that has room; None where one has none. Takes the room."""
    before = {d.id: list(room[d.id]) for d in fuller}
    placed: list[tuple[Session, Device]] = []
    for session in sorted(sessions, key=lambda s: (-s.memory_bytes, -s.utilisation, s.id)):
        for device in fuller:
            left = room[device.id]
            if left[0] >= session.memory_bytes and left[1] >= 1 and left[2] + session.utilisation <= packed:
                left[0] -= session.memory_bytes
                left[1] -= 1
                left[2] += session.utilisation
                placed.append((session, device))
                break
        else:
            room.update(before)
            return None
    return placed


def spread(board: Board) -> None:
    """Evens out how many sessions devices have: from the one with most to the one with fewest, while they differ by two or more."""
    # Takers by sessions, of each sort of device: the board's own order is by load.
    takers: dict[tuple[str, str], list[Device]] = {}
    for device in board.snapshot.devices:
        if not board.why_closed(device):
            takers.setdefault((device.kind, device.fingerprint), []).append(device)
    for listed in takers.values():
        listed.sort(key=lambda d: (d.sessions, d.promised_bytes, d.id))
    heads = dict.fromkeys(takers, 0)
    for source in sorted(board.sources(), key=lambda d: (-d.sessions, d.id)):
        group = source.kind, source.fingerprint
        if source.id in board.busy or group not in takers:
            continue
        if board.is_full():
            return
        listed = takers[group]
        while heads[group] < len(listed) and listed[heads[group]].id in board.busy:
            heads[group] += 1
        few = listed[heads[group] : heads[group] + board.tuning.reach]
        if not few or source.sessions - few[0].sessions < 2:
            del takers[group]  # the sources that follow have fewer still
            continue
        for session in sorted(board.movable(source), key=lambda s: (s.used_bytes, s.memory_bytes, s.id)):
            found = next((d for d in few if not board.why_not_to(session, source, d)), None)
            if found is not None and source.sessions - found.sessions >= 2:
                reason = f"{source.id} has {source.sessions} sessions, {found.id} {found.sessions}."
                board.choose(session, found, reason, cost_s=_cost_s(board, session, source, found))
                break
    if not board.chosen:
        board.refused["no two devices that can exchange sessions differ by two or more"] += 1


Rule = Callable[[Board], None]

#: Every policy of `contract.balance` by its name. `none` has no rule: nothing is moved, not even from a device that is being drained.
RULES: dict[str, Rule | None] = {
    "cost-aware": cost_aware,
    "dgsf": dgsf,
    "pack": pack,
    "spread": spread,
    "none": None,
}
