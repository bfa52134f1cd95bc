"""Signals are heard whenever they come, also by a process whose main thread runs no instruction any more (Note [Signals])."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from cupool.contract import signals

#: The main thread waits in the kernel for what never comes, in a call that a signal does not end: what Python's own handler is called
#: after. A signal in the short window before any wait finds it so too.
_CHILD = """
import ctypes, signal
from cupool.contract import signals
{}
libc = ctypes.CDLL(None)
mutex = ctypes.create_string_buffer(64)
libc.pthread_mutex_lock(mutex)
print("ready", flush=True)
libc.pthread_mutex_lock(mutex)
"""
_HEARS = "signals.hear(lambda number: print(number, flush=True), signal.SIGTERM, signal.SIGUSR1)"


def test_a_signal_is_heard_by_a_process_whose_main_thread_waits_for_ever() -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD.format(_HEARS)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
                process.send_signal(number)
                assert process.stdout.readline() == f"{int(number)}\n"
        finally:
            process.kill()


def test_afterwards_all_is_as_before() -> None:
    before, threads = signal.getsignal(signal.SIGUSR2), threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd"))
    heard: list[int] = []
    told = threading.Event()

    def work(number: int) -> None:
        heard.append(number)
        told.set()

    undo = signals.hear(work, signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGUSR2)
    assert told.wait(20) and heard == [signal.SIGUSR2]
    undo()
    assert signal.getsignal(signal.SIGUSR2) is before and threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors
    pipe = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(pipe)
    assert pipe == -1
