"""Who may call what: from a call's metadata to a tenant or a role, and from a refusal to a gRPC status."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .auditing import Auditor
from .config import PoolConfig
from .directory import Directory
from .refusals import Code, Refused
from .security import tokens


class Access:
    """Checks credentials against the directory and the configuration."""

    def __init__(
        self, config: PoolConfig, directory: Directory, auditor: Auditor, requires_cert: Callable[[str], bool]
    ) -> None:
        """
        Args:
            requires_cert: whether a tenant must show a client certificate. Called for every call of a client; does not wait.
        """
        self._directory = directory
        self._auditor = auditor
        self._asks_certificates = config.tls_client_auth or bool(config.cert_listen)
        self._requires_cert = requires_cert
        #: Where certificates are asked for, for people; with its port once that is known.
        self.cert_address = config.cert_listen
        given = (
            (config.token, tokens.CLIENT),
            (config.admin_token, tokens.ADMIN),
            (config.agent_token, tokens.AGENT),
            (config.balancer_token, tokens.BALANCER),
        )
        fixed = [tokens.fixed(text, role) for text, role in given if text]
        self._credentials = tokens.Credentials(directory.token, fixed)
        #: Where the pool is open, it is so for clients alone.
        self._clients = tokens.Credentials(directory.token, fixed, is_open=config.anonymous)

    def client(self, context: Any) -> str:
        """The tenant that calls. Raises Refused."""
        return self.check(context, tokens.CLIENT).tenant or tokens.DEFAULT_TENANT

    def check(self, context: Any, role: str) -> tokens.TokenRecord:
        """The credential of a call that needs `role`. Raises Refused."""
        credentials = self._clients if role == tokens.CLIENT else self._credentials
        try:
            record = credentials.check(tokens.bearer(context.invocation_metadata() or ()), role)
            is_required = role == tokens.CLIENT and self._requires_cert(record.tenant or tokens.DEFAULT_TENANT)
            if self._asks_certificates or is_required:
                names = (context.auth_context() or {}).get("x509_common_name", ())
                shown = [n.decode() if isinstance(n, bytes) else str(n) for n in names]
                tokens.check_certificate(record, shown, is_required, self.cert_address)
        except tokens.TokenRefused as refused:
            self._auditor.refused_credential(refused.token_id, refused.why, context.peer())
            code = Code.PERMISSION_DENIED if refused.is_known else Code.UNAUTHENTICATED
            raise Refused(code, str(refused), word="credential") from None
        self._directory.used_token(record.id, time.time())
        return record

    def is_viewer(self, token: str) -> bool:
        """Whether a credential may see what viewers may."""
        try:
            self._credentials.check(token, tokens.VIEWER)
        except tokens.TokenRefused:
            return False
        return True


class refusals:
    """Tell the caller what a call was refused with, and when asking again may help. A class: a generator costs each call more."""

    __slots__ = ("_context",)

    def __init__(self, context: Any) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Refused):
            return
        if error.retry_ms:
            self._context.set_trailing_metadata((("cupool-retry-after-ms", str(error.retry_ms)),))
        await self._context.abort(error.code, str(error))
