"""Which servers to start and which warm ones to end: pure decisions over a snapshot of the pool."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .placement import DeviceView, Wish, has_room


@dataclass(frozen=True, slots=True)
class Supply:
    """What a device has, for the decision.

    Attributes:
        starting: servers that will be warm: they start, or give a session back.
        leased: servers that have a session, or may still hold its memory.
        settling: of these, the ones whose session nobody attached to yet and that were leased a moment ago: they may come back warm.
    """

    view: DeviceView
    starting: int
    leased: int
    settling: int = 0

    @property
    def coming(self) -> int:
        return self.starting + self.view.warm


def starts(
    supplies: Sequence[Supply],
    waiting: Sequence[Wish],
    *,
    warm: int,
    keep_warm_while_leased: bool,
    blocked: Collection[str] = (),
) -> list[str]:
    """The ids of the devices to start one server each on, now.

    Args:
        supplies: the devices that can be reached.
        waiting: what each queued Acquire asks for, in fair order.
        warm: servers wanted ready on each device.
        keep_warm_while_leased: False: only while nothing is leased, and nobody waits.
        blocked: ids of devices on which starting failed a short while ago.

    Cases: somebody waits whom no coming server can serve; a device has fewer ready than wanted; nothing to do.
    """
    chosen: list[str] = []
    coming = {s.view.id: s.coming for s in supplies}
    unused = dict(coming)
    usable = [s for s in supplies if s.view.is_open and s.view.id not in blocked]
    for wish in waiting:
        fitting = [s for s in supplies if has_room(s.view, wish)]
        ready = [s for s in fitting if unused[s.view.id] > 0]
        if ready:
            # Where most are coming: what is started for a reserve is then not missed there at the next look.
            unused[max(ready, key=lambda s: (unused[s.view.id], s.view.id)).view.id] -= 1
            continue
        rooms = [s for s in fitting if s in usable and s.leased + coming[s.view.id] < s.view.max_sessions + warm]
        if rooms:
            best = min(rooms, key=lambda s: (s.leased + coming[s.view.id], s.view.id))
            chosen.append(best.view.id)
            coming[best.view.id] += 1
    if not keep_warm_while_leased and (waiting or any(s.leased for s in supplies)):
        return chosen
    for supply in usable:
        device = supply.view.id
        lacking = warm - unused[device] - supply.settling
        room = supply.view.max_sessions + warm - supply.leased - coming[device]
        chosen += [device] * max(0, min(lacking, room))
    return chosen


def surplus(supplies: Sequence[Supply], *, warm: int) -> list[str]:
    """The ids of the devices that have more warm servers than the reserve: one of each may end."""
    return [s.view.id for s in supplies if s.view.warm > warm]
