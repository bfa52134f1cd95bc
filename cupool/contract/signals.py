"""How a process hears the signals that tell it something, SIGTERM above all.

Note [Signals]: a handler of Python runs in the main thread between two of its instructions. A signal that comes after the last of them
and before the main thread waits in the kernel (for a lock, for a descriptor) is noted, and the handler runs when that wait is over: where
nothing else ends it, never. The window is short, but whoever has no processor in it has it for as long: of 400 signals to a thread that
waits for an event beside one busy thread 2 were heard by nobody. What the interpreter does at once, in the kernel's own call of its
handler, is to write the signal's number to a pipe (`signal.set_wakeup_fd`): here a thread reads that.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable


def hear(work: Callable[[int], object], *numbers: signal.Signals) -> Callable[[], None]:
    """Call `work` with the number of each of these signals that comes, from now on. Call from the main thread, once at a time.

    `work` is called in a thread of its own: unlike a handler it interrupts nobody who holds a lock. It must not wait for the main thread.
    Other signals keep their handlers.

    Returns:
        What makes it as before; after it nothing is called. Call from the main thread.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(write_end, False)
    pipe_before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    # A handler must be there, or the kernel does what it does by default; what it does, the thread does.
    before = {number: signal.signal(number, _nothing) for number in numbers}
    wanted = frozenset(numbers)

    def listen() -> None:
        while told := os.read(read_end, 64):
            for number in told:
                if number in wanted:
                    work(number)
        os.close(read_end)

    thread = threading.Thread(target=listen, name="cupool-signals", daemon=True)
    thread.start()

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(pipe_before)
        os.close(write_end)  # which ends the thread
        thread.join()

    return undo


def _nothing(*_: object) -> None:
    pass
