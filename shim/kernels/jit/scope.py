"""What a translation knows: the whole program, and the names of one function."""

from __future__ import annotations

from typing import Any

from .. import cpp
from .support import ARRAYS, tuple_text
from .types import Array, CType, Tuple
from .values import Code, Constant, Value

#: Functions that one kernel may consist of.
MAX_FUNCTIONS = 100


class Program:
    """One kernel's text in the making.

    Attributes:
        mode: 'cuda' or 'numpy', the rule for types.
        known: (function, types of its parameters) -> (name, type of its result), or None while it is being translated.
        includes: names of headers beyond those that every kernel has.
        helpers: C++ that the functions need in front of them.
        is_cooperative: the grid waits for all its blocks.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.functions: list[str] = []
        self.known: dict[tuple[Any, tuple[CType, ...]], tuple[str, CType] | None] = {}
        self.includes: dict[str, None] = {}
        self.helpers: dict[str, None] = {}
        self.is_cooperative = False
        self._tuples: set[int] = set()
        self._uses_arrays = False

    def use_tuple(self, length: int) -> None:
        """The struct of tuples of this length is needed."""
        self._tuples.add(length)

    def use_type(self, kind: CType) -> None:
        """A parameter or variable of this type exists."""
        if isinstance(kind, Array):
            self._uses_arrays = True
        elif isinstance(kind, Tuple):
            self.use_tuple(len(kind.items))
            for item in kind.items:
                self.use_type(item)

    def add_function(self, text: str) -> None:
        """Raises ValueError when there are too many."""
        self.functions.append(text)
        if len(self.functions) > MAX_FUNCTIONS:
            raise ValueError("Number of functions exceeds upper limit.")

    def text(self) -> str:
        """The source."""
        body = "\n".join(self.functions)
        headers = "".join(f"#include <{name}>\n" for name in ("cupy/complex.cuh", "cupy/float16.cuh", *self.includes))
        groups = "namespace cg = cooperative_groups;\n" if "cooperative_groups.h" in self.includes else ""
        arrays = ARRAYS if self._uses_arrays else ""
        tuples = "".join(tuple_text(n) for n in sorted(self._tuples))
        return f"{headers}{groups}{arrays}{tuples}{''.join(self.helpers)}{cpp.helper_text(cpp.needed(body))}{body}"


class Scope:
    """The names of one function.

    Attributes:
        constants: names from outside, and local names of what is known while translating.
        variables: parameters and local variables.
        hoisted: variables that are declared where the function begins.
        result: the type of what it returns; None until a return statement says it.
    """

    def __init__(
        self, program: Program, constants: dict[str, Constant], parameters: dict[str, Code], result: CType | None
    ) -> None:
        self.program = program
        self.mode = program.mode
        self.constants = constants
        self.variables: dict[str, Code] = dict(parameters)
        self.hoisted: dict[str, CType] = {}
        self.result = result
        self._count = 0

    def look_up(self, name: str) -> Value | None:
        """The value of a name, or None."""
        return self.variables.get(name) or self.constants.get(name)

    def fresh(self, prefix: str) -> str:
        """A name that nothing has."""
        while True:
            self._count += 1
            name = f"{prefix}{self._count}"
            if self.look_up(name) is None:
                return name
