"""Named steps of a move at which a server can be made to fail, for tests: `--move-fault STEP:ACTION` beside `--allow-faults`."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

#: In the order in which they come. Each is reached before what it names has been said to anybody.
SOURCE_STEPS = (
    "source.ordered",
    "source.came",
    "source.planned",
    "source.copying",
    "source.copied",
    "source.stopping",
    "source.stopped",
    "source.rest",
    "source.sent",
    "source.ready",
    "source.released",
    "source.reported",
    "source.told",
    "source.done",
)
DESTINATION_STEPS = (
    "destination.ordered",
    "destination.connected",
    "destination.lane",
    "destination.planned",
    "destination.copying",
    "destination.stopped",
    "destination.restoring",
    "destination.ready",
    "destination.said",
    "destination.released",
    "destination.claimed",
    "destination.owned",
)
ACTIONS = ("kill", "freeze", "fail")
#: Steps at which this process stopped itself: once each, also where a step comes again and again.
_frozen: set[str] = set()


class StepFailed(Exception):
    """A test wanted this step to fail."""


def parse(text: str) -> tuple[str, str]:
    """(step, action) of "source.copied:kill". Raises ValueError."""
    step, _, action = text.partition(":")
    if step not in SOURCE_STEPS + DESTINATION_STEPS or action not in ACTIONS:
        raise ValueError(f"{text!r} is no step and action of a move; write for example source.copied:kill")
    return step, action


def reach(faults: Mapping[str, str], step: str) -> None:
    """A step is reached. Raises StepFailed where one was asked for."""
    action = faults.get(step)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "freeze" and step not in _frozen:
        _frozen.add(step)
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "fail":
        raise StepFailed(f"a test made step {step} fail")
