"""What a move is predicted to save and to cost, in seconds. Pure arithmetic; decision 013 derives and measures it.

Note [What sharing costs]. A session wants its device for a share `d` of the time. Sessions that want it at the same moment share it; the
time that they lose in a second, together, is the expected number of those who want it and do not have it:

    lost = sum(d) - 1 + idle        idle = product(1 - d): the probability that nobody wants it

so that a move of s from A to B saves, in each second,

    d(s) * (idle(B) - idle(A without s))

What is measured is not what is wanted but what was got, `u`; sum(u) = 1 - idle where nothing is missing from the books. The demands
`d = 1 - (1 - U) ** (u / U)`, with U = sum(u), have exactly that product, and are `u` itself for a session that is alone.

A session that has run for t seconds is expected to run for t more: processes' lifetimes are heavy-tailed, with the probability of
living longer than t falling as 1/t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .snapshot import Device, Session
from .tuning import Tuning


def demands(used: Sequence[float], full: float) -> list[float]:
    """What each session of a device wants, 0 to `full`, from what each got. Beside a busy neighbour it is more than it got."""
    total = math.fsum(used)
    if total <= 0.0:
        return [0.0] * len(used)
    idle = 1.0 - min(full, total)
    # Where sessions are accounted apart (processes on several cores) the sum exceeds 1, and each was given what it wanted.
    return [min(full, max(u, 1.0 - math.pow(idle, u / total))) if u > 0.0 else 0.0 for u in used]


def is_measured_apart(device: Device) -> bool:
    """Whether its utilisation shows others than its sessions too. That of a CPU device is the sum of its sessions' own times: what it seems
    to have beyond them is the lag between two averages, or of a session that has ended, and nobody to move away from."""
    return device.kind != "cpu"


def most_saved(source: float, destination: float = 0.0) -> float:
    """The most that moving one session can save in a second, whoever the sessions are: of devices with these utilisations."""
    at_source, at_destination = math.sqrt(1.0 - source), math.sqrt(1.0 - destination)
    return (at_destination - at_source) ** 2 if at_destination > at_source else 0.0


def remaining_s(session: Session, tuning: Tuning) -> float:
    """How long it is expected to go on. Nothing for one whose client is away, or whose utilisation is not known yet."""
    if not session.attached or session.age_s < tuning.settled_s:
        return 0.0
    return min(session.age_s, tuning.horizon_s)


def link_bytes_a_s(source: Device, destination: Device, tuning: Tuning) -> float:
    """What a copy between the two reaches: the slower end's measured rate, else the default of such a link."""
    one, other = source.link_bytes_a_s, destination.link_bytes_a_s
    if one > 0.0 or other > 0.0:
        return min(one or other, other or one)
    return tuning.local_bytes_a_s if source.node == destination.node else tuning.remote_bytes_a_s


def does_converge(session: Session, link: float, tuning: Tuning) -> bool:
    """Whether rounds of copying get ahead of the session's writes; or, where they do not, stopping it for all of it is short enough."""
    return (
        session.dirty_bytes_a_s <= tuning.converges * link
        or tuning.pause_s + session.used_bytes / link <= tuning.longest_pause_s
    )


def cost_s(session: Session, link: float, destination: Device, tuning: Tuning) -> float:
    """Seconds that a move costs the session and its neighbours: the pause, and the share that copying takes of both devices meanwhile."""
    rewritten = session.dirty_bytes_a_s / link
    if rewritten <= tuning.converges:
        copy_s = session.used_bytes / link / (1.0 - rewritten)
        rest = min(session.used_bytes, tuning.last_rest_bytes)
    else:
        copy_s = session.used_bytes / link
        rest = session.used_bytes
    return tuning.pause_s + rest / link + tuning.share_of_copy * copy_s + (0.0 if destination.warm else tuning.cold_s)


def is_hot(device: Device, share: float) -> bool:
    """Whether it takes more than the share of its power limit."""
    return device.power_limit_w > 0.0 and device.power_w > share * device.power_limit_w
