"""What callers of the pool are refused with: a gRPC status, a word that is counted, a sentence and a cure."""

from __future__ import annotations

import grpc

from cupool.contract.errors import CupoolError

Code = grpc.StatusCode


class Refused(CupoolError):
    """A call that the pool does not carry out.

    Attributes:
        code: the gRPC status.
        word: one of `meters.REASONS`; what the refusal is counted as.
        retry_ms: when asking again may help; 0: it is not a matter of time.
    """

    def __init__(
        self, code: grpc.StatusCode, what: str, cure: str = "", *, word: str = "other", retry_ms: int = 0
    ) -> None:
        super().__init__(what, cure)
        self.code = code
        self.word = word
        self.retry_ms = retry_ms
