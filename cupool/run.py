"""`cupool run`: run an unchanged script, module or string of code with `import cupy` being the shim.

The program sees what it would see under plain `python`: `sys.argv`, `sys.path[0]`, `__main__`, its exit status, and tracebacks that
begin at its own first line.
"""

from __future__ import annotations

import argparse
import atexit
import builtins
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

from cupool import stats
from cupool.shim import embedded, finder
from cupool.shim.config import config

_HERE = os.path.realpath(__file__)


def parser() -> argparse.ArgumentParser:
    """The arguments of `cupool run`. Everything after the script belongs to the script."""
    result = argparse.ArgumentParser(
        prog="cupool run",
        allow_abbrev=False,
        usage="cupool run [options] (script.py | -m module | -c code | -) [arguments ...]",
        description="Run a program with `import cupy` being the shim.",
    )
    result.add_argument("-m", dest="module", metavar="module", help="run a module, as `python -m` does")
    result.add_argument("-c", dest="code", metavar="code", help="run code given as a string, as `python -c` does")
    result.add_argument("--addr", help="the pool, instead of CUPOOL_ADDR; without either an embedded pool starts")
    result.add_argument(
        "--stats", action="store_true", help="print waits by line, commands and bytes when the program ends"
    )
    result.add_argument("--stats-json", metavar="FILE", help="write the same to FILE as JSON")
    return result


def split_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split at the program: our options come before it, its arguments after it."""
    valued = {"--addr", "--stats-json", "-m", "-c"}
    i = 0
    while i < len(arguments):
        word = arguments[i]
        if word == "-" or not word.startswith("-"):
            break
        i += 2 if word in valued else 1
        if word in ("-m", "-c") or word.startswith(("-m", "-c")):
            break
    ours = parser().parse_args(arguments[:i])
    if ours.stats_json is not None:
        try:
            with open(ours.stats_json, "a", encoding="utf-8"):
                pass  # before the program has run for hours
        except OSError as error:
            parser().error(f"--stats-json: {ours.stats_json} cannot be written: {error.strerror}")
    rest = arguments[i:]
    if ours.module is None and ours.code is None and not rest:
        parser().error("name a script, or use -m or -c")
    return ours, rest


def main(arguments: list[str]) -> int:
    """Run the program named by `arguments` to its end. Its exceptions pass through; SystemExit carries its status."""
    options, rest = split_arguments(arguments)
    if options.addr:
        os.environ["CUPOOL_ADDR"] = options.addr
    finder.install()
    _hand_down()
    start_pool()
    with statistics_at_end(options.stats, options.stats_json):
        if options.module is not None:
            run_module(options.module, rest)
        elif options.code is not None:
            run_code(options.code, rest)
        else:
            run_script(rest[0], rest[1:])
    return 0


def _hand_down() -> None:
    """Give the shim to the programs that this one starts, by the folder that does the same as the finder."""
    folder = str(finder.DROPIN)
    paths = os.environ.get("PYTHONPATH", "")
    if folder not in paths.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, paths] if paths else [folder])
    if folder not in sys.path:
        sys.path.insert(1, folder)  # workers of multiprocessing get this list, not the environment's


def start_pool() -> None:
    """Without a pool to go to, start the embedded one now: it gets ready while the program imports NumPy.

    Raises SystemExit, having said why, where a variable makes no sense.
    """
    try:
        addr = config().addr
    except ValueError as error:
        print(f"cupool: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if not addr:
        embedded.start()
        # Registered before the session's own end, so it runs after it; a program without arrays has nothing else to end it.
        atexit.register(embedded.stop, 1.0)


def run_script(path: str, arguments: list[str]) -> None:
    """As `python path arguments`: a file, a folder or archive with a `__main__.py`, or "-" for the standard input."""
    sys.argv = [path, *arguments]
    if path == "-":
        _set_path("")
        _execute(compile(sys.stdin.read(), "<stdin>", "exec"), ModuleType("__main__"))
        return
    if os.path.isdir(path) or path.endswith((".zip", ".pyz")):
        _set_path(path)
        spec = importlib.machinery.PathFinder.find_spec("__main__", [path])
        if spec is None:
            _refuse(f"can't find '__main__' module in '{path}'")
        _execute_spec(spec)
        return
    _set_path(os.path.dirname(os.path.realpath(path)))
    try:
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    except OSError as error:
        _refuse(f"can't open file '{os.path.abspath(path)}': [Errno {error.errno}] {error.strerror}")
    main_module = ModuleType("__main__")
    main_module.__file__ = path
    main_module.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    _execute(_compiled(source, path), main_module)


def run_module(name: str, arguments: list[str]) -> None:
    """As `python -m name arguments`."""
    _set_path(os.getcwd())
    sys.argv = ["-m", *arguments]
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ImportError as error:
        _refuse(f"Error while finding module specification for '{name}' ({type(error).__name__}: {error})")
    if spec is None:
        _refuse(f"No module named {name}")
    sys.argv[0] = spec.origin or name
    _execute_spec(spec)


def run_code(code: str, arguments: list[str]) -> None:
    """As `python -c code arguments`."""
    _set_path("")
    sys.argv = ["-c", *arguments]
    _execute(_compiled(code, "<string>"), ModuleType("__main__"))


def _refuse(text: str) -> NoReturn:
    print(f"{sys.executable}: {text}", file=sys.stderr)
    raise SystemExit(2)


def _set_path(first: str) -> None:
    # Under `python -P` nothing of ours stands in front, and nothing of the program's would.
    if not sys.flags.safe_path and sys.path:
        sys.path[0] = first


def _compiled(source: str | bytes, path: str) -> CodeType:
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        _hide_own_frames(error)
        raise


def _execute_spec(spec: importlib.machinery.ModuleSpec) -> None:
    loader: Any = spec.loader
    code = loader.get_code(spec.name)
    if code is None:
        _refuse(f"No code object available for {spec.name}")
    main_module = ModuleType("__main__")
    main_module.__file__ = spec.origin
    main_module.__loader__ = loader
    main_module.__package__ = spec.parent
    main_module.__spec__ = spec
    _execute(code, main_module)


def _execute(code: CodeType, main_module: ModuleType) -> None:
    """Run `code` as the program's `__main__`."""
    main_module.__dict__["__builtins__"] = builtins
    main_module.__dict__.setdefault("__annotations__", {})
    sys.modules["__main__"] = main_module
    try:
        exec(code, main_module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _hide_own_frames(error)
        raise


def _hide_own_frames(error: BaseException) -> None:
    """Have the interpreter print the traceback from the program's first line on. The exit status stays the interpreter's."""
    trace = error.__traceback__
    while trace is not None and _is_own(trace):
        trace = trace.tb_next
    shown, hook = trace, sys.excepthook

    def print_clean(kind: type[BaseException], value: BaseException, _: TracebackType | None) -> None:
        hook(kind, value.with_traceback(shown), shown)

    sys.excepthook = print_clean


def _is_own(trace: TracebackType) -> bool:
    return os.path.realpath(trace.tb_frame.f_code.co_filename) == _HERE


@contextlib.contextmanager
def statistics_at_end(show: bool, json_file: str | None) -> Iterator[None]:
    """Print or write the session's statistics when the program ends, also when it fails."""
    try:
        yield
    finally:
        if show or json_file:
            record = stats.collect()
            if json_file:
                Path(json_file).write_text(json.dumps(record, indent=1) + "\n")
            if show:
                print(stats.as_text(record), file=sys.stderr)
