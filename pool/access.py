"""Who may call what: from a call's metadata to a tenant or a role, and from a refusal to a gRPC status."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from .config import PoolConfig
from .directory import Directory
from .refusals import Code, Refused
from .security import tokens


class Access:
    """Checks credentials against the directory and the configuration."""

    def __init__(self, config: PoolConfig, directory: Directory) -> None:
        self._directory = directory
        given = ((config.token, tokens.CLIENT), (config.admin_token, tokens.ADMIN), (config.agent_token, tokens.AGENT))
        self._credentials = tokens.Credentials(
            directory.token, [tokens.fixed(text, role) for text, role in given if text], is_open=config.anonymous
        )

    def client(self, context: Any) -> str:
        """The tenant that calls. Raises Refused."""
        record = self.check(context, tokens.CLIENT)
        return record.tenant or tokens.DEFAULT_TENANT

    def check(self, context: Any, role: str) -> tokens.TokenRecord:
        """The credential of a call that needs `role`. Raises Refused."""
        try:
            record = self._credentials.check(tokens.bearer(context.invocation_metadata() or ()), role)
            names = (context.auth_context() or {}).get("x509_common_name", ())
            if names:
                tokens.check_certificate(record, [n.decode() if isinstance(n, bytes) else str(n) for n in names])
        except tokens.TokenRefused as refused:
            code = Code.PERMISSION_DENIED if refused.is_known else Code.UNAUTHENTICATED
            raise Refused(code, str(refused), word="credential") from None
        self._directory.used_token(record.id, time.time())
        return record


@contextlib.asynccontextmanager
async def refusals(context: Any) -> AsyncIterator[None]:
    """Tell the caller what a call was refused with, and when asking again may help."""
    try:
        yield
    except Refused as refused:
        if refused.retry_ms:
            context.set_trailing_metadata((("cupool-retry-after-ms", str(refused.retry_ms)),))
        await context.abort(refused.code, str(refused))
