"""How fast sessions end, and what that says of a place in the queue. Pure."""

from __future__ import annotations

from collections import deque

#: Ends so old say nothing of now.
_WINDOW_S = 30.0
#: So few say nothing at all.
_ENOUGH = 8
_MOST = 4096
#: Told to whoever is refused when nothing better is known, and the bounds of what is told.
RETRY_MS = 500
_LEAST_MS, _LONGEST_MS = 100, 30_000


class FreeRate:
    """The times at which sessions ended lately."""

    def __init__(self) -> None:
        self._ended: deque[float] = deque(maxlen=_MOST)

    def add(self, now_s: float) -> None:
        self._ended.append(now_s)

    def wait_s(self, place: int, now_s: float) -> float | None:
        """How long until `place` sessions have ended, by what is known; None: too little is."""
        while self._ended and now_s - self._ended[0] > _WINDOW_S:
            self._ended.popleft()
        if len(self._ended) < _ENOUGH:
            return None
        return place * (now_s - self._ended[0]) / len(self._ended)

    def retry_ms(self, place: int, now_s: float) -> int:
        """What to tell someone who was refused."""
        wait_s = self.wait_s(place, now_s)
        return RETRY_MS if wait_s is None else min(_LONGEST_MS, max(_LEAST_MS, int(wait_s * 1000)))
