"""Which doors may be opened: the one rule for pool and server about addresses, TLS and credentials. Pure, but for reading certificates.

Only this machine can reach loopback addresses and unix sockets. A door at any other address is refused unless it speaks TLS and asks
for credentials: whoever may open a session may run code. `--insecure` opens it all the same, and everything that tells of the
pool then says so. Boundary: opens nothing; `cupool.pool.security.listen` and the server do, after `check`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)


class ListenRefused(ValueError):
    """A door may not be opened so. The text says what, why and what to do; `what` and `cure` are its parts, where it has two."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(f"{what} {cure}" if cure else what)
        self.what, self.cure = what, cure


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of one listener, PEM. They are read again when they change, and streams go on.

    Attributes:
        cert: the certificate, then those between it and the authority.
        key: its private key; only its owner may read the file.
        client_ca: an authority; clients must then show a certificate of it. None: no client certificates.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """A listener that somebody wants to open.

    Attributes:
        name: who comes through it, for people: "clients", "operators", "agents", "metrics".
        address: "host:port", "unix:/path" or "unix-abstract:name"; port 0: any.
        tls: None: no TLS.
        has_credentials: whether those who come must prove who they are.
        reads_only: nothing behind it opens a session or changes the pool (metrics, health): it may be open to others, with a warning.
    """

    name: str
    address: str
    tls: Tls | None = None
    has_credentials: bool = True
    reads_only: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Attributes:
        insecure: a door is open that would have been refused without `--insecure`.
        warnings: a sentence for each door that is worth one.
    """

    insecure: bool = False
    warnings: tuple[str, ...] = ()


def host_of(address: str) -> str:
    """The host of "host:port"; "" for a unix socket.

    Raises:
        ListenRefused: it is neither.
    """
    if address.startswith(("unix:", "unix-abstract:")):
        if not address.partition(":")[2]:
            raise ListenRefused(f"{address!r} names no socket. Write unix:/path.")
        return ""
    host, colon, port = address.rpartition(":")
    # gRPC would also take schemes and lists ("ipv4:0.0.0.0:1,0.0.0.0:2"): what this function cannot judge is not an address here.
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_v6 = bare != host
    if (
        not (colon and bare)
        or not port.isascii()
        or not port.isdigit()
        or int(port) > 65535
        or (":" in bare) != is_v6
        or "," in bare
        or "/" in bare
    ):
        raise ListenRefused(
            f"{address!r} is no address. Write 127.0.0.1:7070 (port 0: any free one), [::1]:7070 or unix:/path."
        )
    return bare


def is_local(address: str) -> bool:
    """Whether only this machine can reach `address`. A name other than localhost counts as reachable: what it resolves to may change.

    Raises:
        ListenRefused: it is no address.
    """
    import ipaddress  # a client without TLS has no use for it

    host = host_of(address)
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(doors: Iterable[Door], insecure: bool = False) -> Verdict:
    """Whether these doors may be opened; before anything is started.

    Cases, for each door:

        local, any TLS, credentials        yes
        local, any TLS, no credentials     yes, with a warning: every user of this machine may come
        others, TLS, credentials           yes
        others, reads only                 yes, with a warning where TLS is missing
        others, without TLS or without     refused; with `insecure` yes, with a warning, and the pool says that it is insecure
          credentials

    Raises:
        ListenRefused: one may not, or its certificate cannot be used.
    """
    is_insecure, warnings = False, []
    for door in doors:
        local = is_local(door.address)
        if door.tls is not None:
            TlsFiles(door.tls).read()
        lacks = [
            what
            for what, is_there in (("TLS", door.tls is not None), ("credentials", door.has_credentials))
            if not is_there
        ]
        if local:
            if not door.has_credentials and not door.reads_only:
                warnings.append(
                    f"{door.address} ({door.name}) asks for no credentials: every user of this machine may come through it."
                )
            continue
        if not lacks:
            continue
        if door.reads_only:
            warnings.append(
                f"{door.address} ({door.name}) is open to other machines without {' and '.join(lacks)}; it only tells."
            )
        elif insecure:
            is_insecure = True
            warnings.append(
                f"INSECURE: {door.address} ({door.name}) is open to other machines without {' and without '.join(lacks)}. "
                "Whoever can reach it may run code here."
            )
        else:
            raise ListenRefused(*_refusal(door, lacks))
    return Verdict(is_insecure, tuple(warnings))


def _refusal(door: Door, lacks: list[str]) -> tuple[str, str]:
    """What is refused and why, and what to do."""
    cures = []
    if "TLS" in lacks:
        cures.append(
            "make certificates (cupool certs init; cupool certs issue) and name them (--tls-cert FILE --tls-key FILE)"
        )
    if "credentials" in lacks:
        cures.append("ask for credentials (cupool token create)")
    return (
        f"It does not listen at {door.address} ({door.name}): other machines could reach it without {' and without '.join(lacks)}, "
        "and whoever may open a session may run code here.",
        "Either " + " and ".join(cures) + ", or listen at 127.0.0.1 or a unix socket, "
        "or say --insecure if nobody but you can reach this network.",
    )


class TlsFiles:
    """The files of one listener, and whether they have changed since they were last read.

    A half-written rotation (a key that does not fit the certificate, a file that is not there) is not taken: what was read before stays.
    """

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self._seen: tuple[object, ...] = ()

    def read(self) -> tuple[bytes, bytes, bytes | None]:
        """Key, certificate chain, and the authority of clients, as PEM.

        Raises:
            ListenRefused: a file cannot be read or used; the text names it.
        """
        import ssl  # a client has no use for it

        tls = self.tls
        seen = self._stamp()
        paths = [path for path in (tls.key, tls.cert, tls.client_ca) if path is not None]
        try:
            texts = [path.read_bytes() for path in paths]
        except OSError as error:
            raise ListenRefused(
                f"{error.filename} cannot be read: {error.strerror}. Make it with `cupool certs issue`."
            ) from None
        found = tls.key.stat()
        mode = found.st_mode
        # A key that the system owns and shows to the service's group is how Kubernetes and distributions hand one over.
        others = 0o037 if found.st_uid == 0 and os.geteuid() != 0 else 0o077
        if mode & others:
            raise ListenRefused(
                f"{tls.key} is a private key that others can read (mode {mode & 0o777:o}). Run: chmod 600 {tls.key}"
            )
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key, password=_no_password)
            if tls.client_ca is not None:
                context.load_verify_locations(tls.client_ca)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ListenRefused(
                f"The certificate {tls.cert} and the key {tls.key} cannot be used together: {error}. Make both with `cupool certs issue`."
            ) from None
        self._seen = seen
        return texts[0], texts[1], texts[2] if tls.client_ca is not None else None

    def changed(self) -> tuple[bytes, bytes, bytes | None] | None:
        """As `read`, if the files have changed since; else None. Cheap: called for every connection."""
        if self._stamp() == self._seen:
            return None
        try:
            return self.read()
        except ListenRefused as error:
            _log.warning("event=certificate-not-taken reason=%r", str(error))
            return None

    def _stamp(self) -> tuple[object, ...]:
        stamps: list[object] = []
        for path in (self.tls.cert, self.tls.key, self.tls.client_ca):
            if path is None:
                continue
            try:
                found = os.stat(path)
            except OSError:
                stamps.append(None)
            else:
                stamps.append((found.st_mtime_ns, found.st_ino, found.st_size))
        return tuple(stamps)


def _no_password() -> str:
    """A key with a password would ask at the terminal."""
    raise ValueError("the key has a password; a service needs one without")
