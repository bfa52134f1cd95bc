"""The steps of a traced function joined into kernels.

Cases:
  - elementwise steps on arrays of one shape: one ElementwiseKernel that reads each array once and writes what is returned or written.
  - a reduction: a ReductionKernel over the elementwise steps before it; its result is an input of what comes after.
  - results of several shapes: one kernel per shape.
  - anything else (views that are written through, arrays that overlap what is written, steps without C++): not joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cupool.contract.ops._loops import KERNELS
from cupool.contract.ops.rules import elementwise as rules
from cupool.contract.spec import Spec

from ... import dispatch
from .. import cpp
from ..elementwise import ElementwiseKernel
from ..reduction import ReductionKernel
from .program import Program, Ref, Step, refs_in, resolved

#: Rows whose loop has another name.
_LOOPS = {"where": "@where", "clip": "@clip"}


class NotJoined(Exception):
    """The program is done step by step."""


@dataclass(slots=True)
class Node:
    """A value inside a loop: an input, or one expression over others.

    Attributes:
        shape: of the array, at the trace.
        source: what an input is: ("array", number), ("scalar", number or constant), ("node", reduction).
        loop, operands: of an expression.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    source: Any = None
    name: str = ""
    loop: cpp.Loop | None = None
    operands: tuple[Node, ...] = ()


@dataclass(slots=True)
class Reduction:
    """One reduction: `node` is its result as an input of later kernels."""

    kind: str
    operand: Node
    node: Node
    axis: Any
    keepdims: bool
    dtype: np.dtype[Any]


@dataclass(slots=True)
class _Kernel:
    """A made kernel and where its inputs come from."""

    call: Any
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...] = ()
    targets: tuple[int | None, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)


_IDENTITY = {"sum": "0", "prod": "1", "all": "true", "any": "false"}
_JOIN = {
    "sum": "a + b", "prod": "a * b", "all": "a && b", "any": "a || b", "max": "cupool_maximum(a, b)", "min": "cupool_minimum(a, b)",
}  # fmt: skip
_REDUCTIONS = {
    "sum": "sum",
    "prod": "prod",
    "all": "all",
    "any": "any",
    "max": "max",
    "min": "min",
    "amax": "max",
    "amin": "min",
}


def _chars(dtypes: Sequence[np.dtype[Any]]) -> str:
    chars = []
    for dtype in dtypes:
        char = "E" if dtype.name == "bfloat16" else dtype.char
        if char not in cpp.C_TYPES:
            raise NotJoined
        chars.append(char)
    return "".join(chars)


class Joined:
    """A program as kernels. Raises NotJoined when it is made of a program that cannot be."""

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self._name = name
        self._now: dict[int, Node] = {}
        self._reductions: list[Reduction] = []
        self._written: dict[int, Node] = {}
        self._views: dict[int, tuple[int, Any]] = {}
        self._hosts: list[Step] = []
        self._read(program)
        self._kernels = [*map(self._reduction_kernel, self._reductions), *self._loops()]
        #: Arguments that are written.
        self.written = tuple(self._written)

    # -- reading the steps -----------------------------------------------------------------------------------------------------

    def _read(self, program: Program) -> None:
        made = {number for step in program.steps for number in step.results}
        for number, spec in program.specs.items():
            if number not in made:
                _chars([spec.dtype])
                self._now[number] = Node(spec.dtype, spec.shape, ("array", number))
        arguments = set(self._now)
        for step in program.steps:
            if step.is_host:
                self._hosts.append(step)
            elif step.row is None:
                self._read_call(step, arguments)
            elif step.row.name in _REDUCTIONS:
                self._read_reduction(step)
            else:
                self._read_elementwise(step, arguments)
        if self._written and self._views:
            raise NotJoined

    def _read_call(self, step: Step, arguments: set[int]) -> None:
        assert step.function is not None
        name = step.function.__name__
        source = step.args[0].number
        if name == "_astype":
            dtype = step.args[1]
            _chars([dtype])
            value = self._now[source]
            if value.dtype.kind == "c" and dtype.kind not in "cb":
                raise NotJoined
            self._now[step.results[0]] = Node(dtype, value.shape, name="cast", operands=(value,))  # a copy, in any case
        elif name == "getitem" and source in arguments:
            key = step.args[1]
            parts = key if isinstance(key, tuple) else (key,)
            if not all(part is None or part is Ellipsis or part == slice(None) for part in parts):
                raise NotJoined  # the whole view is small: it is taken step by step
            number = step.results[0]
            self._views[number] = (source, key)
            spec = self._program.specs[number]
            self._now[number] = Node(spec.dtype, spec.shape, ("array", number))
        elif name == "_assign" and step.args[1] in (Ellipsis, slice(None)):
            target = self._now[source]
            value = self._value(step.args[2], target.dtype)
            self._write(source, value, target, arguments, "unsafe")
        else:
            raise NotJoined

    def _cast(self, value: Node, dtype: np.dtype[Any]) -> Node:
        if value.dtype == dtype:
            return value
        return Node(dtype, value.shape, name="cast", operands=(value,))

    def _value(self, tree: Any, dtype: np.dtype[Any]) -> Node:
        """An operand: an array's value, or a scalar that becomes `dtype`."""
        if isinstance(tree, Ref) and tree.number in self._now:
            return self._now[tree.number]
        if isinstance(tree, (Ref, bool, int, float, complex, np.generic)):
            return Node(dtype, (), ("scalar", tree))
        raise NotJoined

    def _read_elementwise(self, step: Step, arguments: set[int]) -> None:
        row = step.row
        assert row is not None
        given = dict(zip(row.params, step.args, strict=True))
        if row.family == "ufunc":
            if given.get("where") is not True or given.get("casting") != "same_kind":
                raise NotJoined
            operands, name, dtype, out = step.args[:-4], row.name, given["dtype"], given["out"]
        elif row.name == "where":
            operands, name, dtype, out = step.args, "@where", None, None
        elif row.name == "clip":
            operands, name, dtype, out = step.args[:3], "@clip", None, given["out"]
        else:
            raise NotJoined
        if not cpp.can_write(name) or name not in KERNELS or None in operands:
            raise NotJoined
        values = tuple(self._sample(o) for o in operands)
        try:
            chosen = rules.choose(name, values, dtype)
        except TypeError:
            raise NotJoined from None
        loop = cpp.Loop(_chars(chosen.inputs), _chars(chosen.outputs))
        if len(chosen.outputs) != 1:
            raise NotJoined
        nodes = tuple(self._value(o, d) for o, d in zip(operands, chosen.inputs, strict=True))
        if name == "nextafter" and loop.ins[0] in "eE":
            raise NotJoined  # computed as float it would be the next float
        shape = np.broadcast_shapes(*(n.shape for n in nodes))
        value = Node(chosen.outputs[0], shape, name=name, loop=loop, operands=nodes)
        try:
            cpp.write(name, loop, ["x"] * len(nodes))
        except cpp.Unwritten:
            raise NotJoined from None
        if out is None:
            self._now[step.results[0]] = self._cast(value, self._program.specs[step.results[0]].dtype)
        elif isinstance(out, Ref):
            self._write(out.number, value, self._now[out.number], arguments, "same_kind")
        else:
            raise NotJoined

    def _sample(self, tree: Any) -> Any:
        """An operand as the rule sees it."""
        if isinstance(tree, Ref):
            number = tree.number
            if number in self._now:
                return _Typed(self._now[number])
            return self._program.samples[number]
        return tree

    def _write(self, number: int, value: Node, target: Node, arguments: set[int], casting: str) -> None:
        if value.shape != target.shape or number in self._views or not np.can_cast(value.dtype, target.dtype, casting):  # type: ignore[arg-type]
            raise NotJoined
        if value.dtype.kind == "c" and target.dtype.kind != "c":
            raise NotJoined
        self._now[number] = self._cast(value, target.dtype)
        if number in arguments:
            self._written[number] = self._now[number]

    def _read_reduction(self, step: Step) -> None:
        row = step.row
        assert row is not None
        given = dict(zip(row.params, step.args, strict=True))
        if given.pop("out") is not None or not isinstance(step.args[0], Ref):
            raise NotJoined
        operand = self._now[given.pop("a").number]
        spec = self._program.specs[step.results[0]]
        axis, keepdims, dtype = given.pop("axis"), given.pop("keepdims", False), given.pop("dtype", None)
        kind = _REDUCTIONS[row.name]
        if any(v not in (None, True) for v in given.values()) or refs_in((axis, keepdims, dtype)):
            raise NotJoined
        if spec.dtype.kind == "c" and kind in ("max", "min", "all", "any"):
            raise NotJoined
        if operand.dtype.kind == "c" and spec.dtype.kind != "c":
            raise NotJoined
        node = Node(spec.dtype, spec.shape)
        node.source = ("node", node)
        self._reductions.append(Reduction(kind, operand, node, axis, bool(keepdims), spec.dtype))
        self._now[step.results[0]] = node

    # -- making kernels --------------------------------------------------------------------------------------------------------

    def _loops(self) -> list[_Kernel]:
        """The elementwise kernels: one per shape of what is returned or written."""
        wanted: list[tuple[Node, int | None]] = [(node, number) for number, node in self._written.items()]
        targets = set(self._written)
        for number in dict.fromkeys(refs_in(self._program.returned)):
            node = self._now.get(number)
            if node is not None and node.source is None and number not in targets:
                wanted.append((node, None))
        groups: dict[tuple[int, ...], list[tuple[Node, int | None]]] = {}
        for node, target in wanted:
            groups.setdefault(node.shape, []).append((node, target))
        if self._written and (len(groups) > 1 or self._reductions):
            raise NotJoined
        kernels = []
        for group in groups.values():
            unique = {id(node): (node, target) for node, target in group}
            nodes = [node for node, _ in unique.values()]
            body, inputs = _emitted(nodes)
            outs = [f"out{i}" for i in range(len(nodes))]
            stores = "".join(f"{out} = {_name(node, body)};\n" for out, node in zip(outs, nodes, strict=True))
            kernel = ElementwiseKernel(
                ", ".join(f"{n.dtype.name} in{i}" for i, n in enumerate(inputs)),
                ", ".join(f"{n.dtype.name} {out}" for n, out in zip(nodes, outs, strict=True)),
                body.text() + stores, self._name, preamble=cpp.helper_text(cpp.needed(body.text())), return_tuple=True,
            )  # fmt: skip
            kernels.append(_Kernel(kernel, inputs, tuple(nodes), tuple(target for _, target in unique.values())))
        return kernels

    def _reduction_kernel(self, reduction: Reduction) -> _Kernel:
        body, inputs = _emitted([reduction.operand])
        kind, dtype = reduction.kind, reduction.dtype
        result = cpp.c_type(dtype)
        held = "float" if result in ("float16", "bfloat16") else result
        identity = _IDENTITY.get(kind) or _extreme(dtype, kind)
        parameters = ", ".join(f"{cpp.c_type(n.dtype)} in{i}" for i, n in enumerate(inputs))
        operand = cpp.c_type(reduction.operand.dtype)
        value = _name(reduction.operand, body)
        text = f"__device__ inline {operand} cupool_premap({parameters}) {{\n{body.text()}return {value};\n}}\n"
        call = f"cupool_premap({', '.join(f'in{i}' for i in range(len(inputs)))})"
        truth = f"({operand})({call}) != ({operand})0" if kind in ("all", "any") else f"({held})({call})"
        kernel = ReductionKernel(
            ", ".join(f"{n.dtype.name} in{i}" for i, n in enumerate(inputs)), f"{dtype.name} out0", truth, _JOIN[kind],
            f"out0 = ({result})(a)", f"({held})({identity})", self._name, held,
            preamble=cpp.helper_text(tuple(dict.fromkeys((*cpp.needed(body.text()), *cpp.needed(_JOIN[kind]))))) + text,
        )  # fmt: skip
        return _Kernel(
            kernel, inputs, (reduction.node,), keywords={"axis": reduction.axis, "keepdims": reduction.keepdims}
        )

    # -- running ---------------------------------------------------------------------------------------------------------------

    def run(self, args: Sequence[Any]) -> Any:
        """Launch the kernels. Raises what the steps one by one would raise for these shapes and numbers."""
        values: list[Any] = [*args, *([None] * (self._program.count - len(args)))]
        for step in self._hosts:
            step.run(values)
        for number, (source, key) in self._views.items():
            values[number] = values[source][key]
        results: dict[int, Any] = {}
        for kernel in self._kernels:
            operands = [_operand(n, values, results) for n in kernel.inputs]
            if isinstance(kernel.call, ReductionKernel):
                results[id(kernel.outputs[0])] = kernel.call(*operands, **kernel.keywords)
                continue
            outs = [None if t is None else values[t] for t in kernel.targets]
            if any(t is not None for t in kernel.targets):
                outs = [self._empty(n, operands) if o is None else o for n, o in zip(kernel.outputs, outs, strict=True)]
                made = kernel.call(*operands, *outs)
            else:
                made = kernel.call(*operands)
            for node, array in zip(kernel.outputs, made, strict=True):
                results[id(node)] = array
        for number, node in self._now.items():
            if number not in self._written and values[number] is None and id(node) in results:
                values[number] = results[id(node)]
        return resolved(self._program.returned, values)

    @staticmethod
    def _empty(node: Node, operands: Sequence[Any]) -> Any:
        from ..._generated import functions

        shape = np.broadcast_shapes(*(a.shape for a in operands if isinstance(a, dispatch.ndarray)))
        return functions.empty(shape, node.dtype)


class _Typed(Spec):
    """An array's dtype for a rule that looks at nothing else."""

    def __init__(self, node: Node) -> None:
        super().__init__((), node.dtype, ())


def _operand(node: Node, values: Sequence[Any], results: dict[int, Any]) -> Any:
    kind, what = node.source
    if kind == "array":
        return values[what]
    if kind == "node":
        return results[id(what)]
    value = values[what.number] if isinstance(what, Ref) else what
    if type(value) is int and node.dtype.kind in "iu":
        info = np.iinfo(node.dtype)
        if not info.min <= value <= info.max:
            raise OverflowError(f"Python integer {value} out of bounds for {node.dtype}")
    return node.dtype.type(value)


def _extreme(dtype: np.dtype[Any], kind: str) -> str:
    """The identity of max and min."""
    if dtype.kind == "b":
        return "false" if kind == "max" else "true"
    if dtype.kind == "f":
        return "-__int_as_float(0x7f800000)" if kind == "max" else "__int_as_float(0x7f800000)"
    info = np.iinfo(dtype)
    if kind == "min":
        return f"{info.max}{'ull' if info.max >= 1 << 63 else 'll'}"
    return f"{info.min + 1}ll - 1" if info.min < 0 else "0"


# -- C++ of the values in a loop -------------------------------------------------------------------------------------------------


class _Body:
    """Statements that compute nodes, each once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.inputs: list[Node] = []
        self._known: dict[Any, str] = {}

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def add(self, node: Node) -> str:
        """The name that a node's value has."""
        name = self.names.get(id(node))
        if name is None:
            name = self.names[id(node)] = self._input(node) if node.source is not None else self._expression(node)
        return name

    def _input(self, node: Node) -> str:
        kind, what = node.source
        key = (kind, what if kind == "array" else id(node), node.dtype)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = f"in{len(self.inputs)}"
            self.inputs.append(node)
        return known

    def _expression(self, node: Node) -> str:
        operands = [self.add(n) for n in node.operands]
        kind = cpp.c_type(node.dtype)
        if node.loop is None:
            (source,) = node.operands
            code = f"({kind}){operands[0]}"
            if source.dtype.kind == "c" and node.dtype.kind == "b":
                code = f"({operands[0]} != {cpp.c_type(source.dtype)}(0))"
            elif source.dtype.name in ("float16", "bfloat16") or node.dtype.name in ("float16", "bfloat16"):
                code = f"({kind})(float){operands[0]}" if source.dtype.char != "d" else f"({kind}){operands[0]}"
        else:
            code = cpp.write(node.name, node.loop, operands)
        name = f"v{len(self.lines)}"
        self.lines.append(f"const {kind} {name} = {code};")
        return name


def _emitted(nodes: Sequence[Node]) -> tuple[_Body, tuple[Node, ...]]:
    body = _Body()
    for node in nodes:
        body.add(node)
    return body, tuple(body.inputs)


def _name(node: Node, body: _Body) -> str:
    return body.names[id(node)]
