"""From a public name's arguments to a command. `call` is what generated functions call.

Boundary: rules decide shapes and dtypes, `forms.py` numbers the forms, `pending.py` holds the commands.
"""

from __future__ import annotations

from typing import Any

from .objects import RemoteObject


def call(row: Any, args: tuple[Any, ...]) -> Any:
    """Run `row` with `args` in the order of `row.params` (`*args` as a tuple, `**kwargs` as a dict); returns the function's result.

    Results are arrays (or a tuple of them), a host value for `host` rows, or the caller's `out`.
    """
    raise NotImplementedError


def construct(row: Any, args: tuple[Any, ...], cls: type[RemoteObject] = RemoteObject) -> RemoteObject:
    """Run a constructor row (`row.object`); the result is an instance of `cls` that owns the handle."""
    raise NotImplementedError


def call_local(row: Any, args: tuple[Any, ...]) -> Any:
    """Answer a LOCAL row from specs and values; nothing is sent."""
    raise NotImplementedError
