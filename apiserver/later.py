"""What a client that comes need not wait for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)

#: How long such work waits for the client's first answer.
CALM_S = 0.02
#: How long work that is under way may hold up a server that ends.
END_S = 1.0


class Later:
    """Work that is done when a client's first batch is answered, or it has sent none for CALM_S. Until then another thread of this process
    would take the interpreter from the one that answers.

    Attributes:
        calm: nobody waits for an answer that the threads of this process could delay.
    """

    def __init__(self) -> None:
        self.calm = threading.Event()
        #: None: the end
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on there is a thread for it; before, `do` does it at once."""
        self._thread = threading.Thread(target=self._run, name="cupool-later", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], None]) -> None:
        if self._thread is not None:
            self._work.put(work)
        else:
            work()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self.calm.wait(CALM_S)
            self.calm.set()
            try:
                work()
            except Exception:  # what comes after it is still to be done
                log.exception("event=later-failed")

    def close(self) -> None:
        if self._thread is not None:
            self._work.put(None)
            self._thread.join(END_S)
