"""Run a module as a program that dies with its pool: `python -m cupool.pool.child PARENT_PID module arguments...`

Whatever ends the pool, SIGKILL included, the kernel then ends this process too, even inside an endless loop of native code.
It is a program of its own because a function between fork and exec is not safe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"cannot tie this process to its pool: prctl: {os.strerror(error)}")
    if os.getppid() != parent:
        raise SystemExit("the pool that started this process is gone")
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
