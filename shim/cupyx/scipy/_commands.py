"""Calls of the internal ops of `cupyx.scipy`: those whose public function does something on the client, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cupool.contract.ops._row import REQUIRED, parameters

from ... import cupy as _cupy
from ...dispatch import call
from ...rows import ROWS

#: The namespace `cupy`, for what is composed of its functions.
cp: Any = _cupy


def command(name: str) -> Callable[..., Any]:
    """The internal op of this name, to be called with arguments by position and by keyword as its row's signature says."""
    row = ROWS[name]
    given: list[Any] = []

    def run(*args: Any, **keywords: Any) -> Any:
        if not given:
            given.extend(parameters(row.sig))
        values = list(args)
        for parameter in given[len(args) :]:
            value = keywords.pop(parameter.name, parameter.default)
            if value is REQUIRED:
                raise TypeError(f"{name} needs the argument {parameter.name!r}")
            values.append(value)
        if keywords or len(values) > len(given):
            raise TypeError(f"{name} got arguments that it does not have: {sorted(keywords)}")
        return call(row, tuple(values))

    return run
