"""What a fused function does, as a list of steps. Doing it step by step gives what the function itself gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cupool.contract.ops._row import Row
from cupool.contract.spec import Spec

from ... import dispatch


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of an argument or of a step, by number."""

    number: int


@dataclass(frozen=True, slots=True)
class Step:
    """One call.

    Attributes:
        row: the row that is called, or None.
        function: what is called when there is no row.
        args: its arguments, with Ref leaves; a row's in the order of its parameters.
        results: numbers of its results; () when it writes into an argument only.
        written: numbers of the arrays that it writes into.
        is_host: it computes on numbers of this machine.
        is_tuple: the call gives a tuple.
    """

    row: Row | None
    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    results: tuple[int, ...]
    written: tuple[int, ...] = ()
    is_host: bool = False
    is_tuple: bool = False

    def run(self, values: list[Any]) -> None:
        """Do it."""
        args = tuple([resolved(a, values) for a in self.args])
        if self.row is not None:
            result = dispatch.call(self.row, args)
        else:
            assert self.function is not None
            result = self.function(*args)
        if self.is_tuple:
            for number, item in zip(self.results, result, strict=True):
                values[number] = item
        elif self.results:
            values[self.results[0]] = result


def resolved(tree: Any, values: Sequence[Any]) -> Any:
    """A tree of arguments with values in place of Refs."""
    kind = type(tree)
    if kind is Ref:
        return values[tree.number]
    if kind is tuple or kind is list:
        return kind(resolved(item, values) for item in tree)
    if kind is dict:
        return {name: resolved(item, values) for name, item in tree.items()}
    return tree


def refs_in(tree: Any) -> tuple[int, ...]:
    """The numbers that a tree refers to."""
    kind = type(tree)
    if kind is Ref:
        return (tree.number,)
    if kind is tuple or kind is list:
        return tuple(number for item in tree for number in refs_in(item))
    if kind is dict:
        return refs_in(tuple(tree.values()))
    return ()


@dataclass(frozen=True, slots=True)
class Program:
    """A traced function.

    Attributes:
        steps: in order.
        returned: what the function returns, with Ref leaves.
        specs: number -> spec of an array, as it was when the function was traced.
        samples: number -> a scalar of the trace.
        count: how many numbers there are; the first are the arguments'.
    """

    steps: tuple[Step, ...]
    returned: Any
    specs: dict[int, Spec]
    samples: dict[int, Any]
    count: int

    def run(self, args: Sequence[Any]) -> Any:
        """Do the steps one by one."""
        values: list[Any] = [*args, *([None] * (self.count - len(args)))]
        for step in self.steps:
            step.run(values)
        return resolved(self.returned, values)
