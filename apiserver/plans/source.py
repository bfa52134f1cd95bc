"""From a body to a Python function: one line for each command, so that the line at which it stopped says which command that was.

The text is made of numbers of ours alone (which command, which argument); nothing that came over the wire is in it.

Boundary: writes and compiles. What the names stand for, and what is done when the function stops, is `plans.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .analysis import Body, Call, Carried, Each, Fixed, Free, Literal, Local, Number, Source, View


class Changed(Exception):
    """An array is not what the plan was made for: the command is the walk's."""


@dataclass(frozen=True, slots=True)
class How:
    """How a call is made in a plan.

    Attributes:
        function: what is called.
        kwargs: names of its keywords, constants of the form.
        is_trusted: what it gives for operands of the known specs has been seen, and is a new array each time; else each is compared.
    """

    function: Callable[..., Any]
    kwargs: tuple[tuple[str, Any], ...]
    is_trusted: bool


@dataclass(frozen=True, slots=True)
class Written:
    """
    Attributes:
        run: (start, rounds, table, buffers, fixed, carried, iterators) -> (round, line or 0, variables).
        commands: line -> command.
        stored: commands whose results are stored in every round; iterators of their handles come after those of `Each`.
        carried: commands whose results the next round needs or frees; after a run they are the variables `p<command>`.
        functions: what its calls are of, one for each.
        is_closed: rounds differ in nothing but what they carry: they look nothing up, and store nothing.
    """

    run: Callable[..., tuple[int, int, dict[str, Any]]]
    commands: dict[int, int]
    stored: list[int]
    carried: list[int]
    functions: tuple[Callable[..., Any], ...]
    is_closed: bool

    @property
    def calls(self) -> int:
        """Calls of a round."""
        return len(self.functions)


def write(body: Body, hows: dict[int, How], specs: list[Any], kind: type, view: Callable[..., Any]) -> Written:
    """Write the function of a body.

    Args:
        hows: of each call.
        specs: of each `Each`: (dtype, shape, strides) that its arrays must have.
        kind: the type of arrays.
        view: makes views: (array, offset, spec).
    """
    names: dict[str, Any] = {
        "Changed": Changed,
        "kind": kind,
        "view": view,
        "zip": zip,
        "range": range,
        "type": type,
        "id": id,
    }
    stored = [i for i in body.handles if i not in body.freed]
    columns = [f"a{k}" for k in range(len(body.each))] + [f"h{i}" for i in stored]
    lines = [
        "def run(start, rounds, table, buffers, fixed, carried, iterators):",
        *_unpacked("fixed", [f"c{k}" for k in range(len(body.fixed))]),
        *_unpacked("carried", [f"p{i}" for i in body.carried]),
    ]
    lines += [f"  f{i} = F{i}" for i in hows]
    head = (
        f"for k, {', '.join(columns)} in zip(range(start, rounds), *iterators)"
        if columns
        else "for k in range(start, rounds)"
    )
    lines += ["  k, line = start, 0", "  try:", f"    {head}:"]
    commands: dict[int, int] = {}
    seen: set[int] = set()
    for number, command in enumerate(body.commands):
        if isinstance(command, Free):
            continue
        first = len(lines) + 1
        for k in _each_of(command) - seen:
            seen.add(k)
            names |= {f"D{k}": specs[k][0], f"S{k}": specs[k][1], f"T{k}": specs[k][2]}
            lines += [
                f"      e{k} = table[a{k}]",
                f"      if type(e{k}) is not kind or e{k}.dtype is not D{k} or e{k}.shape != S{k} or e{k}.strides != T{k}: raise Changed",
            ]
        if isinstance(command, View):
            names |= {
                f"V{number}": command.form.results[0].spec,
                f"O{number}": command.offset,
                f"P{number}": command.step,
            }
            owner = _name(number, 0, command.owner, names, command)
            lines.append(f"      v{number} = view({owner}, O{number} + k * P{number}, V{number})")
        else:
            names[f"F{number}"] = hows[number].function
            lines += _call(number, command, hows[number], names)
        if number in stored:
            lines.append(f"      table[h{number}] = v{number}")
        commands |= dict.fromkeys(range(first, len(lines) + 1), number)
    lines += [f"      p{i} = v{i}" for i in body.carried]
    lines += [
        "  except Exception as error: line = error.__traceback__.tb_lineno",
        # Here the error is gone, and with it its traceback, which would hold the arrays.
        "  return k if line else rounds, line, locals()",
    ]
    exec(compile("\n".join(lines), "<plan>", "exec"), names)
    moving = any(isinstance(command, View) and command.step for command in body.commands)
    return Written(
        names["run"], commands, stored, body.carried, tuple([how.function for how in hows.values()]),
        not (body.each or stored or moving),
    )  # fmt: skip


def _unpacked(whole: str, parts: list[str]) -> list[str]:
    return [f"  {', '.join(parts)}, = {whole}"] if parts else []


def _each_of(command: Call | View) -> set[int]:
    sources = (command.owner,) if isinstance(command, View) else (*command.args, command.out)
    return {s.number for s in sources if isinstance(s, Each)}


def _name(number: int, place: int, source: Source | None, names: dict[str, Any], command: Call | View) -> str:
    """The variable, or the global, that holds an argument."""
    if isinstance(source, Local):
        return f"v{source.of}"
    if isinstance(source, Carried):
        return f"p{source.of}"
    if isinstance(source, Fixed):
        return f"c{source.number}"
    if isinstance(source, Each):
        return f"e{source.number}"
    name = f"N{number}_{place}"
    names[name] = number_of(source) if isinstance(source, Number) else command.form.args[place].value  # type: ignore[union-attr]
    return name


def number_of(source: Number) -> int | float:
    """What the implementation is called with."""
    from cupool.contract.codec import real_of

    return real_of(source.word) if source.is_real else source.word


def _call(number: int, command: Call, how: How, names: dict[str, Any]) -> list[str]:
    args = [_name(number, place, source, names, command) for place, source in enumerate(command.args)]
    keywords = []
    if how.kwargs:  # their names came over the wire
        names[f"K{number}"] = dict(how.kwargs)
        keywords.append(f"**K{number}")
    if command.out is not None:
        out = _name(number, -1, command.out, names, command)
        return [f"      f{number}({', '.join([*args, f'out={out}', *keywords])})"]
    lines = [f"      v{number} = f{number}({', '.join([*args, *keywords])})"]
    if not how.is_trusted:
        spec = command.form.results[0].spec
        assert spec is not None
        names |= {f"RD{number}": spec.dtype, f"RS{number}": spec.shape, f"RT{number}": spec.strides}
        v = f"v{number}"
        operands = [a for a, s in zip(args, command.args, strict=True) if not isinstance(s, Number | Literal)]
        same = "".join(f" or {v} is {a}" for a in operands)
        lines.append(
            f"      if type({v}) is not kind or {v}.dtype is not RD{number} or {v}.shape != RS{number} or {v}.strides != RT{number}"
            f" or {v}.base is not None or id({v}) in buffers{same}: raise Changed"
        )
    return lines


__all__ = ["Changed", "How", "Written", "number_of", "write"]
