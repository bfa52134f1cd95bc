"""The session of this process: opened at the first need, found by everyone through the functions of this module.

Boundary: callers append commands to `pending.COMMANDS` and come here to flush, to ask, and to wait. Nothing here runs at import.
"""

from __future__ import annotations

from typing import Any


def current() -> Any:
    """The open session; opens it (lease, channel, attach) at the first call. Raises PoolUnreachable, LeaseRefused, ..."""
    raise NotImplementedError


def is_open() -> bool:
    """Whether a session is open; never opens one."""
    raise NotImplementedError


def flush() -> None:
    """Send what is pending. May block for flow control. Never call it from `__del__`."""
    raise NotImplementedError


def ask(words: tuple[Any, ...], reply_id: int) -> Any:
    """Append the command `words`, send, wait for the reply minted as `reply_id`; returns its value (see `values.decode`).

    Raises the reply's own error, or a deferred error of this thread.
    """
    raise NotImplementedError


def wait_reply(reply_id: int) -> Any:
    """As `ask`, for a command that was appended before."""
    raise NotImplementedError


def wait_spec(handle: int) -> Any:
    """The `Spec` of an array that was promised as `unknown`. Flushes and waits. Raises the array's error."""
    raise NotImplementedError


def wait_all() -> None:
    """A barrier: returns when everything sent before has completed on the device. Raises deferred errors of this thread."""
    raise NotImplementedError


def after_call() -> None:
    """With CUPOOL_SYNC=1 dispatch calls this after every call: a barrier, so that an error surfaces at its call."""
    raise NotImplementedError


def device() -> Any:
    """The `cupool.v1.DeviceInfo` of the session's device, as told at hello. Opens the session."""
    raise NotImplementedError


def limits() -> Any:
    """The server's `cupool.contract.limits.Limits`. Opens the session."""
    raise NotImplementedError


def check_handle(handle: int) -> None:
    """Raises ForeignArray when `handle` was minted before a fork, or in a session that is gone."""
    raise NotImplementedError


def link_target() -> Any:
    """Where bulk transfers go: a frozen record (endpoint, metadata, epoch, lane, limits). Opens the session."""
    raise NotImplementedError


def bulk_channel() -> Any:
    """A grpc.Channel to the session's server apart from the command stream's; made at the first call, new after a reconnect."""
    raise NotImplementedError


def statistics() -> Any:
    """A frozen record: commands, batches, waits, bytes_up, bytes_down, waits_by_site, reconnects."""
    raise NotImplementedError


def close() -> None:
    """Flush, wait for what is in flight, end the session, release the lease. Arrays of it become foreign."""
    raise NotImplementedError
