"""The one command list of this process. Order is total over all threads; `extend` of one tuple is one command, atomically.

Boundary: no locks, no I/O. `outbox.py` takes from the front; hot paths append at the end and then look whether to send:

    extend((form | hot_bits, mint(), a._handle, b._handle))
    if len(COMMANDS) > GATE.words: flush()

Look *after* the extend: while nothing is in flight the gate is 0 and the command leaves at once. `__del__` only extends; what
it leaves goes with the next command, the next acknowledgement, or the session's ticker.

The list object lives as long as the process; a fork or a new session clears it in place.
"""

from __future__ import annotations

import threading
from typing import Any

#: Words of commands not yet sent; see `cupool.contract.codec.pack_words` for what an item may be.
COMMANDS: list[Any] = []
extend = COMMANDS.extend


class Gate:
    """When to flush: as soon as COMMANDS holds more than `words` items. 0 while nothing is in flight.

    Note [Views leave later]
        A view moves no data, so nothing is gained by sending it before what uses it: it leaves with the next command that is not a
        view, with an acknowledgement, or from the ticker, and looks only at `is_behind`, which the ticker sets when more is pending
        than the server has taken: a program that makes views alone is held back there too. A fifteenth of a view's cost.
    """

    __slots__ = ("is_behind", "words")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing is in flight, and nothing pending."""
        self.words = 0
        self.is_behind = False


GATE = Gate()

#: Over the register of forms and over flushing; one lock, because each needs the other. Appending takes none. Held for microseconds,
#: never while waiting for the network. A fork takes it first, so that a child never inherits it held.
LOCK = threading.RLock()
