"""What a function platform calls instead of a handler, where a handler does not mention cupool and the platform tells its deadline.

AWS Lambda: set the function's handler to `cupool.functions.lambda_handler`, and the variable CUPOOL_HANDLER to your own ("app.handler").
`import cupy` is the shim then, without any PYTHONPATH, and getting a session takes no longer than what remains of the invocation.

    CUPOOL_SESSION=process   (default) the session stays open from one invocation to the next of the same execution environment
    CUPOOL_SESSION=request   each invocation has a session of its own, which ends with it

Boundary: the platform's words for deadlines; what is done with them is `cupool.session`'s. Other platforms: the drop-in path and
CUPOOL_DEADLINE_S.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import cupool

#: Kept back from what remains of an invocation, to say that there was no session.
MARGIN_S = 0.5
#: How long a request's session may outlive its invocation, seconds.
LIFETIME_GRACE_S = 5.0

_SESSIONS = ("process", "request")
_handler: Callable[[Any, Any], Any] | None = None


def _load(name: str) -> Callable[[Any, Any], Any]:
    """The handler that CUPOOL_HANDLER names, as Lambda itself names handlers: "module.function", "folder/module.function"."""
    module, dot, function = name.rpartition(".")
    if not (module and dot and function):
        raise ValueError(
            f"CUPOOL_HANDLER={name!r} does not name a handler. Set it to module.function, for example app.handler."
        )
    cupool.install()
    found = getattr(importlib.import_module(module.replace("/", ".")), function, None)
    if not callable(found):
        raise ValueError(
            f"CUPOOL_HANDLER={name!r}: the module has no function {function!r}. Set it to module.function of your handler."
        )
    handler: Callable[[Any, Any], Any] = found
    return handler


def _keeps() -> bool:
    wanted = os.environ.get("CUPOOL_SESSION", "") or "process"
    if wanted not in _SESSIONS:
        raise ValueError(
            f"CUPOOL_SESSION={wanted!r} is neither 'process' nor 'request'. Set it to one of them, or unset it."
        )
    return wanted == "process"


def lambda_handler(event: Any, context: Any) -> Any:
    """AWS Lambda's entry point; see the module's text.

    Args:
        event: the event, handed on.
        context: the invocation's context; `get_remaining_time_in_millis` is asked.
    """
    global _handler
    if _handler is None:
        _handler = _load(os.environ.get("CUPOOL_HANDLER", ""))
    left_s = context.get_remaining_time_in_millis() / 1000
    keep = _keeps()
    lifetime_s = None if keep else left_s + LIFETIME_GRACE_S
    with cupool.session(deadline_s=max(left_s - MARGIN_S, 0.0), keep=keep, lifetime_s=lifetime_s):
        return _handler(event, context)


if os.environ.get("AWS_LAMBDA_RUNTIME_API") and os.environ.get("CUPOOL_HANDLER"):
    # While the platform gives time for it: what the handler's module does at import is a part of the start.
    _handler = _load(os.environ["CUPOOL_HANDLER"])
