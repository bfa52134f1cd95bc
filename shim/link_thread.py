"""The link's thread: how a session gets it, also where nobody waits for that, and how it ends.

Boundary: threads. What the thread does is the link's.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

from cupool.contract.errors import CupoolError, SessionLost

#: After so long a session that began early has its threads.
SOON_S = 0.01


class LinkThread:
    """One link's.

    Args:
        run: what it does.
        is_closing: whether the session is over already.
        fail: called with what the session is lost of, where the system gives no thread.

    Attributes:
        exists: there is one, or one that will become it.
        ended: it has.
        hurry: set: the one that `start_soon` leaves behind need not wait any longer.
    """

    def __init__(
        self, run: Callable[[], None], is_closing: Callable[[], bool], fail: Callable[[CupoolError], None]
    ) -> None:
        self.exists = False
        self.ended = threading.Event()
        self.hurry = threading.Event()
        self._run = run
        self._is_closing = is_closing
        self._fail = fail
        #: Held while threads are started.
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="cupool-link", daemon=True)

    def start(self) -> None:
        """Start it. Raises RuntimeError: the system gives none."""
        self._begin(self._thread.start)

    def start_soon(self, others: Callable[[], None]) -> None:
        """Start it, and after it `others`, in a moment, without waiting for either. Raises RuntimeError."""
        self._begin(lambda: _thread.start_new_thread(self._start_late, (others,)))

    def _begin(self, thread: Callable[[], object]) -> None:
        # Said first: an exception in between would leave a thread with a stream that is closed under its hands.
        self.exists = True
        try:
            thread()
        except RuntimeError:  # the system gives none
            self.exists = False
            raise

    def _start_late(self, others: Callable[[], None]) -> None:
        """In a thread of its own, which nobody waits for: to start a `threading.Thread` is to wait for it to run, and who opens a session
        is about to send, to wait, and to read the answer without it. A program that ends starts no thread (from Python 3.12 on): then
        this one is the link's."""
        self.hurry.wait(SOON_S)
        with self._starting:
            try:
                self._thread.start()
                if not self._is_closing():
                    others()
            except RuntimeError as error:
                if threading.main_thread().is_alive():
                    self._fail(
                        SessionLost(f"The session has no threads: {error}.", "Let the process have more of them.")
                    )
        if self._thread.ident is None:
            self._live()

    def _live(self) -> None:
        try:
            self._run()
        finally:
            self.ended.set()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def wait_started(self) -> None:
        """Return when no thread is half started."""
        with self._starting:
            pass

    def join(self, timeout_s: float, insist: Callable[[], None]) -> None:
        """Wait for its end. `insist`: called when it has not come after `timeout_s`; then as long again."""
        if not self.ended.wait(timeout_s):
            insist()
            self.ended.wait(timeout_s)
        self.wait_started()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
