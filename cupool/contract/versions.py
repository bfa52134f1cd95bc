"""The protocol versions, each a number, a name and a sentence. Hellos negotiate the highest that both ends speak.

Window: a client works with servers one minor release apart, in either direction. To add a version: append a row, keep the
contract tests running for every row (`tests/contract` is parametrised over `VERSIONS`).
"""

from __future__ import annotations

from cupool.contract.records import NamedTuple


class Version(NamedTuple):
    number: int
    name: str
    sentence: str


VERSIONS: tuple[Version, ...] = (
    Version(1, "flat-batches", "Flat int64 batches with interned forms, acknowledged, resendable, results by ordinal."),
)

#: What this build speaks, best first.
SUPPORTED: tuple[int, ...] = tuple(sorted((v.number for v in VERSIONS), reverse=True))

#: Name -> sentence of what a server may take beyond what the version says (`ServerHello.features`). Whoever knows one not does without it.
FEATURES: dict[str, str] = {
    "bundles": "A ClientFrame may hold several others (Bundle).",
    "loops": "A batch may hold the first round of a loop, and how its words change from round to round (Batch.loops).",
    "zlib": "The data of a PutChunk may be packed (PutChunk.unpacked_bytes).",
}


def negotiate(offered: tuple[int, ...] | list[int], own: tuple[int, ...] = SUPPORTED) -> int | None:
    """The highest version in both lists, or None when there is none."""
    return max(set(offered) & set(own), default=None)


def mismatch_sentence(client: list[int] | tuple[int, ...], server: list[int] | tuple[int, ...]) -> str:
    """Which side is older, and the cure; for the error when `negotiate` finds nothing."""
    if not client:
        return "The client offered no protocol version. Send ClientHello.versions, for example [1]."
    older, newer = ("client", "server") if max(client) < max(server, default=0) else ("server", "client")
    return (
        f"No common protocol version: the client speaks {sorted(client)}, the server {sorted(server)}. "
        f"The {older} is older. Upgrade cupool on the {older}, or use a {newer} of the same minor release."
    )
