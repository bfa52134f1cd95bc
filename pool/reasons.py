"""Why a server's process ended, in one sentence for the person whose session it held. Pure."""

from __future__ import annotations

import signal

from cupool.contract.statusfile import KERNEL_TIMEOUT_STATUS, Status

#: Signals of a fault in what is executed. SIGKILL comes from elsewhere.
_OWN = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT})

#: What to do about a signal, where there is something to say.
_CURES: dict[int, str] = {
    signal.SIGSEGV: "The kernel read or wrote outside its arrays: check its bounds.",
    signal.SIGBUS: "The kernel read or wrote outside its arrays: check its bounds.",
    signal.SIGFPE: "It divided an integer by zero: check its divisors.",
    signal.SIGILL: "It ran an instruction that this processor does not have, or was built wrongly: report it.",
    signal.SIGABRT: "It gave up by itself: an assertion in a kernel, or a library that found its memory damaged.",
    signal.SIGKILL: "The machine ran out of memory, or somebody killed it.",
    signal.SIGXCPU: "It used more processor time than this machine allows.",
}


def death_sentence(returncode: int, status: Status | None) -> str:
    """What happened to a server that nobody told to end.

    Args:
        returncode: as `subprocess.Popen.returncode`: negative for a signal.
        status: what the server left in its status file.

    Cases: it said itself why; a signal, with or without an op running; an exit status.
    """
    doing = f" while it ran {_running(status.running)}" if status is not None and status.running else ""
    if status is not None and status.reason:
        return f"The server ended: {status.reason.rstrip('.')}."
    if returncode < 0:
        cure = _CURES.get(-returncode, "")
        return f"The server was ended by {_signal_name(-returncode)}{doing}. {cure}".strip()
    if returncode == 0:
        return f"The server ended by itself{doing}."
    return f"The server ended with exit status {returncode}{doing}. Its log says more: start the pool with --log-level debug."


def is_own_fault(returncode: int, status: Status | None) -> bool:
    """Whether the session's own code ended its server: a signal of a fault while a kernel of its ran, or a kernel that ran for too long."""
    if returncode == KERNEL_TIMEOUT_STATUS:
        return True
    running = status.running if status is not None else ""
    return -returncode in _OWN and bool(running) and not running.startswith("@")


def start_sentence(returncode: int, status: Status | None, log_tail: str) -> str:
    """Why a server never became ready."""
    why = death_sentence(returncode, status)
    last = log_tail.strip().splitlines()[-1:] or [""]
    return f"A server could not start. {why}" + (f" Its last words: {last[0][:300]}" if last[0] else "")


def _running(name: str) -> str:
    """Servers name the kernel that runs, and internal ops by their @name."""
    return f"the op '{name}'" if name.startswith("@") else f"the kernel '{name}'"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
