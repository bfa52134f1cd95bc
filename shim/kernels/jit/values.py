"""What a translated expression is. Pure.

Constant: known while translating. Code: C++ and its type. Builtin: a function of `cupyx.jit` that writes code when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from .types import CType, Element, Scalar, Tuple, literal, of_scalar

if TYPE_CHECKING:
    from .scope import Scope


class Value:
    """Any translated expression."""


class Constant(Value):
    """A Python object."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __repr__(self) -> str:
        return f"<Constant {self.obj!r}>"


class Code(Value):
    """C++ with a type.

    Attributes:
        code: an expression that binds tighter than any operator.
        type: of its value.
        place: the code as something to write to, or None.
    """

    def __init__(self, code: str, type: CType, place: str | None = None) -> None:
        self.code = code
        self.type = type
        self.place = place

    def __repr__(self) -> str:
        return f"<Code {self.code}: {self.type}>"


class Range(Value):
    """`range(…)` as a loop's iterator; `ascends` None: only the data tells."""

    def __init__(
        self, start: Code, stop: Code, step: Code, type: Scalar, ascends: bool | None, unroll: int | bool | None
    ) -> None:
        self.start, self.stop, self.step, self.type = start, stop, step, type
        self.ascends = ascends
        self.unroll = unroll


class Builtin(Value):
    """A function that means something only inside a kernel.

    Args:
        name: what it is called.
        write: (scope, *values, **values) -> value.
    """

    def __init__(self, name: str, write: Callable[..., Value], doc: str = "") -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        self.write = write

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"{self.__name__} cannot be called outside a kernel: it has no meaning on the host.")

    def __repr__(self) -> str:
        return "<cupyx.jit function>"


class Method(Value):
    """A builtin bound to a value."""

    def __init__(self, write: Callable[..., Value], instance: Code) -> None:
        self.write = write
        self.instance = instance


def as_code(value: Value, scope: Scope) -> Code:
    """The value as C++. Raises TypeError for what has none."""
    if isinstance(value, Code):
        return value
    if isinstance(value, Constant):
        if isinstance(value.obj, tuple):
            return pack([as_code(Constant(item), scope) for item in value.obj], scope)
        kind = of_scalar(scope.mode, value.obj)
        return Code(literal(value.obj, kind), kind)
    if isinstance(value, Builtin):
        raise TypeError(f"{value.__name__} must be called")
    raise TypeError(f"{value!r} is not a value of the device")


def pack(items: list[Code], scope: Scope) -> Code:
    """A tuple of values."""
    kind = Tuple([Scalar(item.type.dtype) if isinstance(item.type, Element) else item.type for item in items])
    scope.program.use_tuple(len(items))
    return Code(f"{kind}{{{', '.join(item.code for item in items)}}}", kind)


def is_constant(*values: Value) -> bool:
    """Whether all are known while translating."""
    return all(isinstance(value, Constant) for value in values)
