"""One form of log lines for shim, controller, agent and server, so that one id can be followed through all of them.

A message is written as `event=name key=value key=%r ...`: the event first, ids under their own names (`request`, `session`, `tenant`,
`server`, `device`, `node`), texts by repr. A line is then either of

    2026-11-28T13:05:00.123Z info source=controller event=session-leased session=session-1f tenant=acme request=…
    {"time": "2026-11-28T13:05:00.123Z", "level": "info", "source": "controller", "event": "session-leased", "session": "session-1f", ...}

Until there is a session, `request` (which the client makes) is what names it; the line `event=session-leased` has both.

Boundary: the standard `logging` only; whoever writes makes a logger and calls it. Messages of libraries become the event `message`.
"""

from __future__ import annotations

import ast
import json
import logging
import re
import sys
import time
from typing import IO, Any

from .redaction import RedactingFormatter

FORMATS = ("text", "json")
#: A value is a repr, with its quotes and escapes, or goes up to the next space.
_PAIR = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S*)""")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


def fields(message: str) -> dict[str, Any]:
    """The pairs of a message in our form; of another, its text under `event=message`."""
    if not message.startswith("event="):
        return {"event": "message", "text": message}
    return {key: _value(text) for key, text in _PAIR.findall(message)}


def _value(text: str) -> Any:
    if text[:1] in ("'", '"'):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text) if text.lower() not in ("nan", "inf", "-inf", "infinity", "-infinity") else text
    except ValueError:
        return text


class Lines(logging.Formatter):
    """One line a record, whatever it holds; a traceback follows it in text, and is a field in JSON."""

    def __init__(self, source: str, form: str = "text") -> None:
        """
        Args:
            source: who writes: "controller", "agent", a server's id, "shim".
            form: one of `FORMATS`.
        """
        super().__init__()
        if form not in FORMATS:
            raise ValueError(f"{form!r} is no form of logs. Write {' or '.join(FORMATS)}.")
        self._source = source
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
        level, message = record.levelname.lower(), record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._form == "json":
            line: dict[str, Any] = {"time": stamp, "level": level, "source": self._source}
            line |= {k: v for k, v in fields(message).items() if k not in line}
            if not message.startswith("event="):
                line["logger"] = record.name
            if trace:
                line["traceback"] = trace
            return json.dumps(line, default=str)
        text = _CONTROL.sub(" ", message)
        if not message.startswith("event="):
            text = f"event=message logger={record.name} text={text!r}"
        return f"{stamp} {level} source={self._source} {text}" + (f"\n{trace}" if trace else "")


def handler(source: str, form: str = "text", stream: IO[str] | None = None) -> logging.Handler:
    """A handler that writes our lines, without secrets, to `stream`; None: standard error."""
    made = logging.StreamHandler(stream or sys.stderr)
    made.setFormatter(RedactingFormatter(Lines(source, form)))
    return made


def configure(source: str, level: str, form: str = "text") -> None:
    """Send all logs of this process to standard error, and nowhere else. For a process of ours, at its start; the shim is a guest."""
    root = logging.getLogger()
    root.handlers[:] = [handler(source, form)]
    root.setLevel(level.upper())
