"""Exit codes of the command line, and the error that carries one. They are stable: scripts rely on them."""

from __future__ import annotations

import enum

from cupool.contract.errors import CupoolError


class Exit(enum.IntEnum):
    OK = 0
    FAILURE = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORISED = 4
    PARTLY = 5
    NOT_FOUND = 6
    TIMED_OUT = 7
    OVER_QUOTA = 8
    INTERRUPTED = 130


#: What each says, for docs/operators.md and `cupool --help`.
SENTENCES: dict[Exit, str] = {
    Exit.OK: "it is done",
    Exit.FAILURE: "it failed, for a reason that has no code of its own; or `doctor` found what is broken",
    Exit.USAGE: "the command line, the config file or an id makes no sense; nothing was done",
    Exit.UNREACHABLE: "the pool cannot be reached",
    Exit.NOT_AUTHORISED: "the credential is missing, unknown, expired, or its role does not allow it",
    Exit.PARTLY: "partly done: some of it could not be done, and what is left is listed",
    Exit.NOT_FOUND: "there is no such session, device, node, tenant or token",
    Exit.TIMED_OUT: "it was not done in time",
    Exit.OVER_QUOTA: "over a quota, or the pool is full",
    Exit.INTERRUPTED: "interrupted by Ctrl-C or SIGTERM; what it began at the pool goes on",
}


class CliError(CupoolError):
    """Ends a command: one line of cause, one of cure, and an exit code."""

    def __init__(self, code: Exit, what: str, cure: str = "") -> None:
        super().__init__(what, cure)
        self.code = code
