"""Structured logs: one line of `key=value` pairs a record on standard error, session and server named once."""

from __future__ import annotations

import logging
import sys
import time

from cupool.contract.redaction import RedactingFormatter


class _Lines(logging.Formatter):
    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = server

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        text = record.getMessage().replace("\n", " ")
        line = f"{stamp}.{int(record.msecs):03d}Z {record.levelname.lower()} server={self._server} {text}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(server: str, level: str) -> None:
    """Send this process's logs to standard error. Called once, by `__main__`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter(_Lines(server)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
