"""CUB's reductions in kernels: of a warp and of a block, with their storage and their operators.

Operators are structs of the kernel's own text: CUB has renamed its own between versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .scope import Scope
from .types import Opaque, Scalar
from .values import Builtin, Code, Value, as_code

_HEADER = "cub/block/block_reduce.cuh"  # reads that of warps too
_OPERATOR = Opaque("an operator of cupyx.jit.cub")


class Collective(Opaque):
    """A class of CUB for one dtype. It holds a reference to its storage: a variable of it is never written again.

    Attributes:
        element: the type of what is reduced.
        TempStorage: the type of its storage, which `shared_memory` takes.
    """

    can_be_written = False

    def __init__(self, name: str, dtype: Any, *sizes: int) -> None:
        self.element = Scalar(dtype)
        super().__init__(f"cub::{name}<{', '.join([self.element.spelling, *map(str, sizes)])}>")
        self.TempStorage = Opaque(f"typename {self.spelling}::TempStorage")

    def __call__(self, *args: Any) -> NoReturn:
        raise RuntimeError(f"{self} cannot be made outside a kernel: it has no meaning on the host.")

    def write(self, scope: Scope, temp_storage: Value) -> Code:
        """Over one element of shared memory. Raises TypeError for a storage of another type."""
        storage = as_code(temp_storage, scope)
        if storage.type != self.TempStorage:
            raise TypeError(f"Invalid temp_storage type {storage.type}. ({self.TempStorage} is expected.)")
        scope.program.includes[_HEADER] = None
        return Code(f"{self}({storage.code})", self)

    def reduced(self, scope: Scope, instance: Code, call: str, input: Value, *rest: str) -> Code:
        """A call of a method on a value of the element's type. Raises TypeError for another type."""
        value = as_code(input, scope)
        if not isinstance(value.type, Scalar) or value.type.dtype != self.element.dtype:
            raise TypeError(f"Invalid input type {value.type}. ({self.element} is expected.)")
        return Code(f"{instance.code}.{call}({', '.join([value.code, *rest])})", self.element)


def _of(instance: Code) -> Collective:
    assert isinstance(instance.type, Collective)
    return instance.type


def _sum(scope: Scope, instance: Code, input: Value) -> Value:
    return _of(instance).reduced(scope, instance, "Sum", input)


def _reduce(scope: Scope, instance: Code, input: Value, reduction_op: Value) -> Value:
    operator = as_code(reduction_op, scope)
    if operator.type != _OPERATOR:
        raise TypeError(f"{reduction_op!r} is no operator: cupyx.jit.cub.Sum(), Max() or Min() is expected.")
    return _of(instance).reduced(scope, instance, "Reduce", input, operator.code)


METHODS: dict[str, Callable[..., Value]] = {"Sum": _sum, "Reduce": _reduce}


class Template:
    """`BlockReduce[dtype, threads]`: a class of CUB for one dtype."""

    def __init__(self, name: str, count: int, doc: str) -> None:
        self._name, self._count = name, count
        self.__doc__ = doc

    def __getitem__(self, args: Any) -> Collective:
        """The class. Raises TypeError for too many or too few arguments, and for sizes that are no integers."""
        dtype, *sizes = args if isinstance(args, tuple) else (args,)
        if len(sizes) != self._count or not all(isinstance(size, int) for size in sizes):
            wanted = "a dtype" if not self._count else "a dtype and the number of threads"
            raise TypeError(f"{self._name} takes {wanted}, not {args!r}")
        return Collective(self._name, dtype, *sizes)


WarpReduce = Template("WarpReduce", 0, "`WarpReduce[dtype]`: reductions of a warp; its first thread has the result.")
BlockReduce = Template(
    "BlockReduce", 1, "`BlockReduce[dtype, threads]`: reductions of a block; its first thread has the result."
)


def _operator(name: str, expression: str, doc: str) -> Builtin:
    struct = f"cub_{name.lower()}"
    text = f"struct {struct} {{ template <class T> __device__ T operator()(const T& a, const T& b) const {{ return {expression}; }} }};\n"

    def write(scope: Scope) -> Value:
        scope.program.helpers[text] = None
        return Code(f"{struct}()", _OPERATOR)

    return Builtin(name, write, doc)


Sum = _operator("Sum", "a + b", "The operator `a + b`.")
Max = _operator("Max", "a < b ? b : a", "The operator that takes the larger.")
Min = _operator("Min", "b < a ? b : a", "The operator that takes the smaller.")
