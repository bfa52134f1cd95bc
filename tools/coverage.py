"""What of CuPy's public names is supported: `docs/coverage.md` and the list of names that are not.

    python tools/coverage.py            write docs/coverage.md
    python tools/coverage.py --write    also rewrite cupool/contract/ops/_refused_names.py from what is really there
    python tools/coverage.py --check    change nothing; fail when either is stale

A name is supported when the shim's namespace really has it: looked up without asking `__getattr__`, so that a stand-in that raises
does not count. Rows say the rest: where it runs and whether it waits.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
import types
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from suite_table import section as suite_section

ROOT = Path(__file__).resolve().parent.parent
API = ROOT / "tools" / "data" / "cupy_api.json"
PROVEN = ROOT / "tools" / "data" / "proven_cuda.json"
#: Which calls wait, as `tools/waits.py` has measured it: name -> "always" or "sometimes".
WAITS = ROOT / "tools" / "data" / "waits.json"
PAGE = ROOT / "docs" / "coverage.md"
NAMES = ROOT / "cupool" / "contract" / "ops" / "_refused_names.py"

_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Name:
    """One public name: `full` as CuPy has it, `name` as the op table has it."""

    full: str
    name: str
    kind: str
    tier: int
    parent: str


def public_names() -> list[Name]:
    """The names of CuPy's record. Private modules in a path (`cupy.fft._cache`) do not make a name private."""
    entries = json.loads(API.read_text(encoding="utf-8"))
    result = []
    for entry in entries:
        full = entry["name"]
        name = full.removeprefix("cupy.") if full != "cupy" else ""
        result.append(Name(full, name, entry["kind"], entry["tier"], full.rpartition(".")[0]))
    return result


def resolve(full: str) -> Any:
    """The object that the shim really has under a public name, or _ABSENT."""
    first, *rest = full.split(".")
    path = f"cupool.shim.{first}"
    try:
        found: Any = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("cupool.shim"):
            raise
        return _ABSENT
    for part in rest:
        found, path = _step(found, path, part)
        if found is _ABSENT:
            return _ABSENT
    return _ABSENT if type(found).__name__ == "MissingModule" else found


def _step(owner: Any, path: str, part: str) -> tuple[Any, str]:
    if not isinstance(owner, types.ModuleType):
        return inspect.getattr_static(_example(owner), part, _ABSENT), path
    path = f"{path}.{part}"
    if part in vars(owner) and not isinstance(vars(owner)[part], types.ModuleType):
        return vars(owner)[part], path
    if part in vars(owner).get("_LAZY", {}):
        value = getattr(owner, part, _ABSENT)
        return (_ABSENT if _is_stand_in(value) else value), path
    try:
        return importlib.import_module(path), path
    except ModuleNotFoundError as error:
        if error.name != path and not path.startswith(f"{error.name}."):
            raise
    found = vars(owner).get(part, _ABSENT)
    if found is _ABSENT and isinstance(getattr(type(owner), part, None), property):
        return getattr(type(owner), part), path  # a module that has properties
    return found, path


def _is_stand_in(value: Any) -> bool:
    """Whether a lazily found object is only what raises Unsupported."""
    text = getattr(value, "__doc__", None) or ""
    return text.startswith("Not supported:") or getattr(getattr(value, "__code__", None), "co_name", "") == "refuse"


#: Classes whose instances carry public attributes that the class does not: how to make one without a session.
_EXAMPLES: dict[str, Callable[[Any], Any]] = {
    "RawKernel": lambda cls: cls("", "f"),
    "RawModule": lambda cls: cls(code=""),
    "ElementwiseKernel": lambda cls: cls("T x", "T y", "y = x", "f"),
    "ReductionKernel": lambda cls: cls("T x", "T y", "x", "a + b", "y = a", "0", "f"),
    "broadcast": lambda cls: cls(),
    "ufunc": lambda cls: importlib.import_module("cupool.shim.cupy").add,
}


def _example(owner: Any) -> Any:
    """An instance of the classes of _EXAMPLES, else the class itself."""
    if isinstance(owner, type) and owner.__name__ in _EXAMPLES:
        return _EXAMPLES[owner.__name__](owner)
    return owner


@dataclass(frozen=True, slots=True)
class Account:
    """Every public name in one of two heaps."""

    supported: dict[str, Name]
    unsupported: dict[str, Name]


def account() -> Account:
    """Sort the public names by whether the shim has them."""
    supported, unsupported = {}, {}
    for name in public_names():
        (unsupported if resolve(name.full) is _ABSENT else supported)[name.full] = name
    return Account(supported, unsupported)


# -- the list of names ---------------------------------------------------------------------------------------------------


def names_module(accounted: Account) -> str:
    """The text of `_refused_names.py`: modules, and per module the names without those below an unsupported class."""
    modules = sorted(n.name for n in accounted.unsupported.values() if n.kind == "module")
    module_names = {n.full for n in public_names() if n.kind == "module"} | {"cupy"}
    groups: dict[str, list[str]] = defaultdict(list)
    for name in accounted.unsupported.values():
        parent = accounted.unsupported.get(name.parent)
        if name.kind == "module" or (parent is not None and parent.kind != "module"):
            continue
        home = name.parent
        while home not in module_names and "." in home:
            home = home.rpartition(".")[0]
        member = name.full[len(home) + 1 :]
        groups["" if home == "cupy" else home.removeprefix("cupy.")].append(member)
    for module in modules:
        groups.setdefault(module, [])
    lines = ['"""Public names without support. Written by `tools/coverage.py --write`: do not edit."""\n\n']
    lines.append("from __future__ import annotations\n\n")
    lines.append("#: Modules that have no code in the shim.\n")
    lines.append('MODULES = """\\\n' + "".join(f"{line}\n" for line in _wrapped(modules)) + '"""\n\n')
    lines.append("#: Module -> names in it, those below an unsupported class left out.\nNAMES: dict[str, str] = {\n")
    for module in sorted(groups):
        text = "\n".join(_wrapped(sorted(groups[module])))
        lines.append(f'    "{module}": """\\\n{text}\n""",\n')
    lines.append("}\n")
    return "".join(lines)


def _wrapped(words: list[str], width: int = 124) -> list[str]:
    rows, row = [], ""
    for word in words:
        if row and len(row) + len(word) + 1 > width:
            rows.append(row)
            row = ""
        row = f"{row} {word}" if row else word
    return [*rows, row] if row else rows


# -- the page -------------------------------------------------------------------------------------------------------------


def page(accounted: Account) -> str:
    """The text of `docs/coverage.md`."""
    from cupool.contract.ops import TABLE, refusals

    homes: dict[str, list[Name]] = defaultdict(list)
    modules = {n.full for n in public_names() if n.kind == "module"} | {"cupy"}
    for name in (*accounted.supported.values(), *accounted.unsupported.values()):
        if name.kind == "module":
            continue
        home = name.parent
        while home not in modules and "." in home:
            home = home.rpartition(".")[0]
        homes[home].append(name)
    proven = set(json.loads(PROVEN.read_text(encoding="utf-8"))) if PROVEN.exists() else set()
    waits: dict[str, str] = json.loads(WAITS.read_text(encoding="utf-8"))
    total, good = sum(map(len, homes.values())), len([n for n in accounted.supported.values() if n.kind != "module"])
    lines = [
        "# Coverage\n\n",
        "Written by `tools/coverage.py`; `make check` fails when it is stale.\n\n",
        f"Of {total} public names of CuPy (members of classes counted), {good} are supported. Everything else raises `Unsupported` with "
        "the reason given here.\n\n",
        "| module | names | supported |\n|---|---:|---:|\n",
    ]
    for home in sorted(homes):
        have = [n for n in homes[home] if n.full in accounted.supported]
        lines.append(f"| [{home}](#{home.replace('.', '')}) | {len(homes[home])} | {len(have)} |\n")
    lines += [
        "\n`op`: runs on the server. `view`: made on the client, the server makes the same view. `client`: answered or composed "
        "on the client. `waits`: the call itself waits for the server, always or for some arguments, as measured by `tools/waits.py` "
        f"({len(waits)} calls do; looking at a pending shape waits too). `cpu`: proven on the "
        "CPU device by the row's samples. `cuda`: proven on a GPU by the same samples.\n",
    ]
    lines += suite_section()
    for home in sorted(homes):
        lines += _module_section(home, homes[home], accounted, TABLE, refusals, proven, waits)
    return "".join(lines)


def _how(name: Name, row: Any, proven: set[str], waits: dict[str, str]) -> str:
    """How a supported name is served, from its row and from what was measured."""
    is_op = row is not None and row.is_remote
    is_view = is_op and row.view_of and getattr(row.infer, "rule_name", "").startswith("view_")
    words = ["client" if not is_op else "view" if is_view else "op"]
    words += {"always": ["waits"], "sometimes": ["waits for some arguments"]}.get(waits.get(name.name, ""), [])
    if is_op:
        words += ["cpu"] if row.samples is not None or row.family == "ufunc" else []
        words += ["cuda"] if row.name in proven else []
    return ", ".join(words)


def _module_section(
    home: str,
    names: list[Name],
    accounted: Account,
    table: dict[str, Any],
    refusals: Any,
    proven: set[str],
    waits: dict[str, str],
) -> list[str]:
    """One module: supported names by how they are served, unsupported ones by reason."""
    lines = [f"\n## {home}\n"]
    good: dict[str, list[str]] = defaultdict(list)
    bad: dict[str, list[str]] = defaultdict(list)
    notes = []
    for name in sorted(names, key=lambda n: n.full):
        short = name.full[len(home) + 1 :]
        if name.full in accounted.supported:
            row = table.get(name.name)
            good[_how(name, row, proven, waits)].append(f"`{short}`")
            if row is not None and row.note and not row.unsupported:
                notes.append(f"- `{short}`: {row.note}\n")
        elif accounted.unsupported.get(name.parent) is None or accounted.unsupported[name.parent].kind == "module":
            bad[refusals.group_reason(name.name)].append(f"`{short}`")
    for how in sorted(good):
        lines.append(f"\n**{how}** ({len(good[how])}): {', '.join(good[how])}\n")
    for reason in sorted(bad):
        lines.append(f"\n*Not supported* ({len(bad[reason])}), {reason}: {', '.join(bad[reason])}\n")
    if notes:
        lines += ["\nNotes:\n\n", *notes]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is stale")
    parser.add_argument("--write", action="store_true", help="also rewrite the list of unsupported names")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "build" / "typing"))
    accounted = account()
    files = {PAGE: page(accounted)}
    if options.write or options.check:
        files[NAMES] = names_module(accounted)
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{'stale' if options.check else 'written'}: {path.relative_to(ROOT)}")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    if stale and options.check:
        print("Run `python tools/coverage.py --write` and commit the result.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
