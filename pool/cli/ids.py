"""Ids as people type them: whole, or a prefix that only one has; with or without the word that all of a kind begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from cupool.contract.errors import CupoolError

from .exits import CliError, Exit
from .link import Admin, find

#: Longest that a completion may take: a shell waits for it.
_COMPLETION_S = 1.0
_LISTED = 5


def resolve(typed: str, known: Iterable[str], noun: str, listing: str) -> str:
    """The one id of `known` that `typed` means.

    Raises:
        CliError: none (NOT_FOUND), or more than one (USAGE).
    """
    ids = list(known)
    if typed in ids:
        return typed
    found = [i for i in ids if i.startswith(typed)] if typed else []
    # "3f" for "session-3f…", "cuda:0" for "node-1/cuda:0".
    found = found or [i for i in ids if typed and (_tail(i, "-").startswith(typed) or _tail(i, "/") == typed)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CliError(Exit.NOT_FOUND, f"There is no {noun} {typed!r}.", f"`{listing}` lists them.")
    more = ", …" if len(found) > _LISTED else ""
    raise CliError(
        Exit.USAGE,
        f"{typed!r} is not one {noun} but {len(found)}: {', '.join(found[:_LISTED])}{more}.",
        "Type more of the id.",
    )


def _tail(whole: str, mark: str) -> str:
    return whole.partition(mark)[2]


def sessions(admin: Admin) -> list[str]:
    from cupool.v1 import admin_pb2

    return [s.session for s in admin.call("ListAllSessions", admin_pb2.ListAllSessionsRequest()).sessions]


def devices(admin: Admin) -> list[str]:
    from cupool.v1 import admin_pb2

    return [d.device for d in admin.call("ListDevices", admin_pb2.ListDevicesRequest()).devices]


def nodes(admin: Admin) -> list[str]:
    from cupool.v1 import admin_pb2

    return [n.node for n in admin.call("ListNodes", admin_pb2.ListNodesRequest()).nodes]


def tenants(admin: Admin) -> list[str]:
    from cupool.v1 import admin_pb2

    return [t.tenant for t in admin.call("ListTenants", admin_pb2.ListTenantsRequest()).tenants]


def tokens(admin: Admin) -> list[str]:
    from cupool.v1 import admin_pb2

    return [t.id for t in admin.call("ListTokens", admin_pb2.ListTokensRequest()).tokens if not t.revoked]


def servers(admin: Admin) -> list[str]:
    from cupool.v1 import admin_pb2

    return [s.server for s in admin.call("ListServers", admin_pb2.ListServersRequest()).servers]


def checkpoints(admin: Admin) -> list[str]:
    from cupool.v1 import admin_pb2

    return [s.checkpoint for s in admin.call("ListSavedSessions", admin_pb2.ListSavedSessionsRequest()).saved]


def completing(*sources: Callable[[Admin], list[str]]) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """A click completion of ids that live now. A pool that does not answer, or refuses, completes nothing."""

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[Any]:
        given = {
            n: context.params.get(p) or ""
            for n, p in (("admin", "admin_addr"), ("token_file", "token_file"), ("ca", "ca"), ("folder", "folder"))
        }
        try:
            with Admin(find(**given), _COMPLETION_S) as admin:
                known = [i for source in sources for i in source(admin)]
        except CupoolError:
            return []
        # Also by what comes after the word that all begin with, so that "3f" completes.
        found = [i for i in known if i.startswith(typed)] or [i for i in known if _tail(i, "-").startswith(typed)]
        return [CompletionItem(i) for i in found]

    return complete
