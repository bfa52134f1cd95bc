"""Named steps of a move at which a server can be made to fail, for tests: `--move-fault STEP:ACTION` beside `--allow-faults`; of a pool's
servers, lines `STEP:ACTION` in the file that `CUPOOL_MOVE_FAULTS` names, which may change while they run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

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
#: Steps at which this process stopped itself: once for each time that it was asked for, also where a step comes again and again.
_frozen: set[tuple[str, int]] = set()


class StepFailed(Exception):
    """A test wanted this step to fail."""


def parse(text: str) -> tuple[str, str]:
    """(step, action) of "source.copied:kill". Raises ValueError."""
    step, _, action = text.partition(":")
    if step not in SOURCE_STEPS + DESTINATION_STEPS or action not in ACTIONS:
        raise ValueError(f"{text!r} is no step and action of a move; write for example source.copied:kill")
    return step, action


class FaultFile(Mapping[str, str]):
    """The actions that a file names now, by step."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def stamp(self) -> int:
        """When the file was written."""
        return self._path.stat().st_mtime_ns

    def _now(self) -> dict[str, str]:
        return dict(map(parse, self._path.read_text().split()))

    def __getitem__(self, step: str) -> str:
        return self._now()[step]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


def wanted(given: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """What is to fail: what the command line says, or else the file, where there is one."""
    file = os.environ.get("CUPOOL_MOVE_FAULTS", "")
    return dict(given) or (FaultFile(Path(file)) if file else {})


def reach(faults: Mapping[str, str], step: str) -> None:
    """A step is reached. Raises StepFailed where one was asked for."""
    action = faults.get(step)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "freeze":
        asked = step, faults.stamp if isinstance(faults, FaultFile) else 0
        if asked not in _frozen:
            _frozen.add(asked)
            os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "fail":
        raise StepFailed(f"a test made step {step} fail")
