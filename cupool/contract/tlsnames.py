"""The name that an API server's certificate has, and its client asks for.

Not its host's: a server runs its tenant's code, so its key must open nothing but itself. And an address may be translated on the way.
"""

from __future__ import annotations

import hashlib
import re

_DOMAIN = "servers.cupool.internal"
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def _label(text: str) -> str:
    """A label of a DNS name for an id: the id itself where it is one."""
    return text if _LABEL.fullmatch(text) else "x-" + hashlib.sha256(text.encode()).hexdigest()[:40]


def node_domain(node: str) -> str:
    """What the names of a node's servers end with."""
    return f"{_label(node)}.{_DOMAIN}"


def server_name(server: str, node: str) -> str:
    """The name of one server's certificate."""
    return f"{_label(server)}.{node_domain(node)}"
