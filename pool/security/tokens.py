"""Credentials of the pool: opaque tokens, stored as hashes, checked in constant time.

A token is `cupool_<role>_<id>_<secret>`: the id finds the record, the secret of 256 bits proves it. A record never holds the secret, and
whoever reads the directory learns nothing that opens a door: the hash of 256 random bits needs no salt and no slow function.

Boundary: pure. The directory keeps the records; `Credentials` asks it through a function. A session's token is made here too, but its
hash lives with the session, not in the directory.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cupool.contract import redaction

CLIENT, VIEWER, OPERATOR, ADMIN, AGENT, BALANCER = "client", "viewer", "operator", "admin", "agent", "balancer"
ROLES = (CLIENT, VIEWER, OPERATOR, ADMIN, AGENT, BALANCER)
#: A role, and the roles that may do what it may. Clients and agents have services of their own: an admin opens no session by being one.
_ALLOWED: dict[str, frozenset[str]] = {
    CLIENT: frozenset({CLIENT}),
    AGENT: frozenset({AGENT}),
    VIEWER: frozenset({VIEWER, OPERATOR, ADMIN}),
    OPERATOR: frozenset({OPERATOR, ADMIN}),
    ADMIN: frozenset({ADMIN}),
    # It sees what it decides on, tells its decisions, and asks for moves; no more.
    BALANCER: frozenset({BALANCER, OPERATOR, ADMIN}),
}
#: The tenant of a credential that names none.
DEFAULT_TENANT = "default"

_SECRET_BYTES = 32
_FORM = re.compile(r"cupool_(client|viewer|operator|admin|agent|balancer)_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Compared with when no record is found, so that an unknown id takes as long as a wrong secret.
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).digest()


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What the pool keeps of a token.

    Attributes:
        id: 12 hex digits, public: in lists, in the audit log.
        role: one of ROLES.
        tenant: of a client's token; "" for other roles.
        sha256: of the whole token's text, 32 bytes.
        created, expires, revoked, last_used: seconds since 1970; `expires` and `revoked` are 0 when it does not and is not.
        note: for people.
        revoked_reason: why it was revoked.
    """

    id: str
    role: str
    tenant: str = ""
    sha256: bytes = field(default=b"", repr=False)
    created: float = 0.0
    expires: float = 0.0
    revoked: float = 0.0
    note: str = ""
    last_used: float = 0.0
    revoked_reason: str = ""


class TokenRefused(Exception):
    """A credential opens nothing here. `str` is for whoever showed it: what, why, what to do. It never repeats the credential.

    Attributes:
        why: for the audit log: "none", "unknown", "revoked", "expired", "role", "tenant", "certificate".
        is_known: whether the credential was proved, so that the caller is who it says (PERMISSION_DENIED, else UNAUTHENTICATED).
        token_id: of the record, where one was proved; else "".
    """

    def __init__(self, why: str, text: str, token_id: str = "", is_known: bool = False) -> None:
        super().__init__(text)
        self.why = why
        self.is_known = is_known
        self.token_id = token_id


def digest(token: str) -> bytes:
    """What is stored of a token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def create(
    role: str, tenant: str = "", valid_s: float = 0.0, note: str = "", now: float | None = None
) -> tuple[str, TokenRecord]:
    """A fresh token and its record. The token is shown once and kept nowhere.

    Raises:
        ValueError: no such role, a client's token without a usable tenant, or another's with one.
    """
    if role not in ROLES:
        raise ValueError(f"{role!r} is no role. Use one of: {', '.join(ROLES)}.")
    if role == CLIENT:
        tenant = check_tenant(tenant or DEFAULT_TENANT)
    elif tenant:
        raise ValueError(f"A token of the role {role!r} has no tenant; only a client's has. Leave the tenant out.")
    if valid_s < 0:
        raise ValueError(
            f"A token cannot be valid for {valid_s:g} s. Give a positive time, or 0 for one that does not expire."
        )
    now = time.time() if now is None else now
    token_id = secrets.token_hex(6)
    token = f"{redaction.PREFIX}{role}_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return token, TokenRecord(token_id, role, tenant, digest(token), now, now + valid_s if valid_s else 0.0, note=note)


def check_tenant(tenant: str) -> str:
    """`tenant`, if it may be a tenant's name.

    Raises:
        ValueError: it may not; the text says what may.
    """
    if not _TENANT.fullmatch(tenant):
        raise ValueError(
            f"{tenant!r} is no tenant's name. Use up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit."
        )
    return tenant


def fixed(text: str, role: str, tenant: str = "") -> TokenRecord:
    """The record of a credential that an operator put into a file or that a pool made for the program that started it.

    The text may have any form; it is hidden in logs from now on.
    """
    redaction.add(text)
    return TokenRecord(f"file-{role}", role, (tenant or DEFAULT_TENANT) if role == CLIENT else "", digest(text))


def revoke(record: TokenRecord, reason: str, now: float | None = None) -> TokenRecord:
    """The record, revoked; unchanged when it is already."""
    if record.revoked:
        return record
    return replace(record, revoked=time.time() if now is None else now, revoked_reason=reason)


def id_of(token: str) -> str:
    """The id that a text of a token's form claims; "" for other texts."""
    match = _FORM.fullmatch(token)
    return match.group(2) if match else ""


def bearer(metadata: Iterable[Any]) -> str:
    """The credential of a call's metadata, `authorization: Bearer <it>`; "" without one."""
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""


class Credentials:
    """Checks shown credentials against records.

    Args:
        find: the record of an id, or None. Called for tokens of our form only; may be called from any thread.
        fixed: records of credentials of any form, see `fixed`.
        is_open: no credentials are asked for: whoever comes is the default tenant, and an admin. Only behind `--insecure`.
    """

    def __init__(
        self,
        find: Callable[[str], TokenRecord | None] = lambda _: None,
        fixed: Sequence[TokenRecord] = (),
        is_open: bool = False,
    ) -> None:
        self._find = find
        self._fixed = tuple(fixed)
        self.is_open = is_open

    def check(self, shown: str, role: str, now: float | None = None) -> TokenRecord:
        """The record that `shown` proves, if it may do what `role` may.

        Raises:
            TokenRefused: it does not.
        """
        if self.is_open and not shown:
            return TokenRecord("open", role, DEFAULT_TENANT if role == CLIENT else "")
        if not shown:
            raise TokenRefused("none", f"The pool asks for a credential and got none. {_where(role)}")
        record = self._proved(shown)
        if record is None:
            raise TokenRefused("unknown", f"The pool does not know this credential. {_where(role)}")
        if record.revoked:
            raise TokenRefused(
                "revoked", f"The token {record.id} was revoked. Ask the pool's operator for another.", record.id
            )
        if record.expires and (time.time() if now is None else now) >= record.expires:
            raise TokenRefused(
                "expired", f"The token {record.id} has expired. Ask the pool's operator for another.", record.id
            )
        if record.role not in _ALLOWED[role]:
            raise TokenRefused(
                "role",
                f"A token of the role {record.role!r} may not do this: it takes the role {role!r}. {_where(role)}",
                record.id,
                True,
            )
        return record

    def _proved(self, shown: str) -> TokenRecord | None:
        shown_digest = digest(shown)
        claimed = id_of(shown)
        record = self._find(claimed) if claimed else None
        found = record if hmac.compare_digest(shown_digest, record.sha256 if record else _NOBODY) else None
        for other in self._fixed:
            # Every one is compared: how long it takes says nothing about which.
            if hmac.compare_digest(shown_digest, other.sha256):
                found = other
        return found


def _where(role: str) -> str:
    if role == CLIENT:
        return "Set CUPOOL_TOKEN to the token that its operator gave you."
    if role == AGENT:
        return "Give the agent a token of the role 'agent': cupool token create --role agent."
    return "Use a token whose role allows it: cupool token create --role viewer|operator|admin."


def check_certificate(
    record: TokenRecord, certificate_names: Iterable[str], is_required: bool = False, door: str = ""
) -> None:
    """Refuse a token that comes over another tenant's client certificate: a stolen token opens nothing without its certificate.

    Args:
        certificate_names: the common names of the peer's certificate: "x509_common_name" of `context.auth_context()`;
            empty: none was shown.
        is_required: the token's tenant must show one.
        door: where the pool asks for certificates, for people.

    Raises:
        TokenRefused: the certificate is another's, or is lacking.
    """
    names = tuple(certificate_names)
    if is_required and not names:
        tenant = record.tenant or DEFAULT_TENANT
        raise TokenRefused(
            "certificate",
            f"The tenant {tenant!r} shows a client certificate with its token, and none came with this call. Set CUPOOL_CERT and "
            f"CUPOOL_KEY to its certificate and key (cupool certs issue client {tenant}), CUPOOL_CA, and CUPOOL_ADDR to where the pool "
            f"asks for certificates{': ' + door if door else ''}.",
            record.id,
            True,
        )
    if names and record.role == CLIENT and (record.tenant or DEFAULT_TENANT) not in names:
        raise TokenRefused(
            "certificate",
            f"The token {record.id} and the client certificate are of different tenants. Use those that belong together.",
            record.id,
            True,
        )


def session_token() -> tuple[str, bytes]:
    """A fresh token of one session, and its SHA-256. It is worth as much as the session: the client, and nobody else, gets the token."""
    token = f"{redaction.PREFIX}session_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return token, hashlib.sha256(token.encode()).digest()


def is_session_token(token: str, sha256: bytes) -> bool:
    """Whether `token` has this hash; in constant time."""
    return hmac.compare_digest(digest(token), sha256)
