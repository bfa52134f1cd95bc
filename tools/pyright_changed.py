"""Run pyright over what changed since it last found no error: files that changed, and every file that imports one, at any distance.

    python tools/pyright_changed.py [--all]

Pyright keeps nothing between runs of its command, and the whole tree takes half a minute; mypy keeps its own cache. What is checked,
and how strictly, is pyproject.toml's. Everything is checked again when pyright, its settings or the installed packages changed, and
with `--all`. The record, `build/pyright.json`, has only files in which no error was found.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Container, Iterable
from fnmatch import fnmatch
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "build" / "typing"
RECORD = ROOT / "build" / "pyright.json"

Imports = list[str]


def sources(tree: Path, exclude: Iterable[str]) -> dict[str, Path]:
    """Modules and stubs below `tree`: path relative to it -> path."""
    found = {}
    for folder, inner, files in os.walk(tree, followlinks=True):
        inner[:] = sorted(
            name for name in inner if name != "__pycache__" and not _matches(Path(folder) / name, exclude)
        )
        for name in sorted(files):
            path = Path(folder) / name
            if path.suffix in (".py", ".pyi"):
                found[str(path.relative_to(tree))] = path
    return found


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch(f"/{path}", "*/" + pattern.removeprefix("**/")) for pattern in patterns)


def imported(text: str, relative: str) -> Imports:
    """Dotted names of modules that a file reads, absolute. Of `from a.b import c` these are `a.b` and, since it may be a module, `a.b.c`;
    of `import a.b` they are `a` and `a.b`: the name that it binds is `a`."""
    package = Path(relative).parent.parts
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                names.update(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*base, *(node.module.split(".") if node.module else ())))
            names.add(origin)
            names.update(f"{origin}.{alias.name}" for alias in node.names)
    return sorted(names)


def files_of(name: str, known: Container[str]) -> list[str]:
    """The files of a module or package: `.py` and `.pyi`, where they are."""
    start = name.replace(".", "/")
    wanted = (f"{start}/__init__.py", f"{start}/__init__.pyi", f"{start}.py", f"{start}.pyi")
    return [file for file in wanted if file in known]


def states(hashes: dict[str, str], imports: dict[str, Imports]) -> dict[str, str]:
    """File -> a digest of it and of all that it imports, at any distance."""
    direct = {file: {to for name in names for to in files_of(name, hashes)} for file, names in imports.items()}
    found = {}
    for file in hashes:
        reached, new = {file}, [file]
        while new:
            for to in direct[new.pop()] - reached:
                reached.add(to)
                new.append(to)
        together = "".join(f"{name} {hashes[name]}\n" for name in sorted(reached))
        found[file] = hashlib.sha256(together.encode()).hexdigest()
    return found


def circumstances(settings: object) -> str:
    """A digest of what else decides the outcome: pyright, its settings, the packages that are installed."""
    packages = sorted(f"{d.metadata['Name']} {d.version}" for d in distributions())
    return hashlib.sha256(json.dumps([settings, sys.version, packages]).encode()).hexdigest()


def main(arguments: list[str]) -> int:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    paths = sources(TREE, [p for p in settings["exclude"] if "*" not in p.removeprefix("**/")])
    texts = {file: path.read_bytes() for file, path in paths.items()}
    hashes = {file: hashlib.sha256(text).hexdigest() for file, text in texts.items()}
    known: dict[str, Imports] = record.get("imports", {})
    imports = {
        f: known[key] if (key := f"{f} {hashes[f]}") in known else imported(texts[f].decode(), f) for f in hashes
    }
    now = states(hashes, imports)
    around = circumstances(settings)
    before = {} if "--all" in arguments or record.get("circumstances") != around else record["states"]
    changed = [f for f, state in now.items() if before.get(f) != state and not _matches(paths[f], settings["exclude"])]
    status = 0
    print(f"pyright: {len(changed)} of {len(now)} files to check", flush=True)
    if changed:
        # Without a list pyright finds the files itself: a whole run depends on nothing here.
        listed = [str(paths[f].relative_to(ROOT)) for f in changed] if before else []
        command = [str(Path(sys.executable).with_name("pyright")), *(["-"] if listed else [])]
        done = subprocess.run(command, cwd=ROOT, input=" ".join(listed), stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, end="", flush=True)
        status = done.returncode
        if status > 1:  # it found no errors, it failed
            return status
        faulty = set(re.findall(r"^ *(/.*?):\d+:\d+ - error: ", done.stdout, re.MULTILINE))
        if status and not faulty:
            return status
        now = {f: state for f, state in now.items() if str(paths[f]) not in faulty}
    kept = {f"{f} {hashes[f]}": names for f, names in imports.items()}
    fresh = RECORD.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps({"circumstances": around, "states": now, "imports": kept}))
    fresh.replace(RECORD)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
