"""The command line of the extra `server`: which file has which command, and how whatever goes wrong ends.

Commands are imported when they are used. Every error is one line of cause and one of cure on standard error, and an exit code of `exits`;
never a traceback, unless CUPOOL_DEBUG is set.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping

import click

from cupool.contract.errors import CupoolError

from . import exits, show
from .exits import CliError, Exit

#: Command -> (module of this package, name in it, one line of help).
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("up", "up", "start a pool on this host"),
    "down": ("down", "down", "end it"),
    "status": ("status", "status", "the pool at a glance"),
    "top": ("top", "top", "sessions, devices and the queue, live"),
    "ps": ("sessions", "ps", "list sessions"),
    "gpus": ("devices", "gpus", "list devices"),
    "nodes": ("nodes", "nodes", "list hosts"),
    "servers": ("nodes", "servers", "list server processes"),
    "cordon": ("devices", "cordon", "no new sessions on a device or node"),
    "uncordon": ("devices", "uncordon", "new sessions again"),
    "balance": ("balance", "balance", "how sessions are moved between devices, and why"),
    "drain": ("devices", "drain", "cordon, and move sessions away until none is left"),
    "move": ("move", "move", "a running session to another device"),
    "kill": ("sessions", "kill", "end sessions now"),
    "session": ("saving", "session", "save a session to a file, and bring it back"),
    "quota": ("quota", "quota", "what tenants may have, and have"),
    "token": ("tokens", "token", "credentials: create, list, revoke"),
    "certs": ("certs", "certs", "the pool's own authority and certificates"),
    "doctor": ("doctor", "doctor", "find what is wrong, with evidence and cure"),
    "logs": ("logs", "logs", "log lines and events"),
    "config": ("config", "config", "settings: show, check, reference"),
    "bench": ("bench", "bench", "how fast the pool gives leases"),
    "join": ("join", "join", "make this host one of a pool's"),
    "completion": ("completion", "completion", "shell completion for bash, zsh, fish"),
}

#: Commands of the base install, which `cupool.__main__` runs before it comes here: for help and completion.
BASE = {
    "run": "run a script with `import cupy` being the shim",
    "version": "versions of cupool, its protocol and its Python",
    "simulate": "a whole pool on a virtual clock, by a seed",
    "dropin-path": "the folder that makes `import cupy` the shim",
}


class Commands(click.Group):
    """The commands, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*BASE, *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in BASE:
            return click.Command(
                cmd_name, help=BASE[cmd_name], params=[click.Argument(["arguments"], nargs=-1, type=click.Path())]
            )
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f".{module}", __package__), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*BASE.items(), *((name, line) for name, (_, _, line) in COMMANDS.items())])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), sentence) for code, sentence in exits.SENTENCES.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """A CuPy program, unchanged, on a warm GPU somewhere else: run programs, and run a pool.

    Commands of operators find the pool of this host by themselves; for another one set CUPOOL_ADMIN_ADDR, CUPOOL_ADMIN_TOKEN and, with TLS,
    CUPOOL_CA.
    """


def main(arguments: list[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run a command. Returns its exit code."""
    with _terminated_as_interrupted():
        return guarded(
            lambda: cli.main(
                args=arguments, prog_name="cupool", standalone_mode=False, complete_var="_CUPOOL_COMPLETE"
            ),
            environment,
        )


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM is as Ctrl-C: what a command began at the pool goes on, and its last words say so. `up --foreground` has its own way."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def guarded(command: Callable[[], object], environment: Mapping[str, str] = os.environ) -> int:
    """The exit code of a command; what it raises becomes two lines and a code."""
    try:
        done = command()
        sys.stdout.flush()
        return int(done) if isinstance(done, int) else int(Exit.OK)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        show.note("Interrupted.")
        return Exit.INTERRUPTED
    except click.UsageError as error:
        _usage(error)
        return Exit.USAGE
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain at exit when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except CliError as error:
        return _failed(error.what, error.cure, error.code)
    except CupoolError as error:
        from ..settings import BadSetting

        if not isinstance(error, BadSetting):
            return _failed(error.what, error.cure, Exit.FAILURE)
        for one in (error, *error.others):
            _failed(one.what, one.cure, Exit.USAGE)
        return Exit.USAGE
    except click.ClickException as error:
        return _failed(error.format_message(), "", Exit.FAILURE)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _failed(f"{what}.", "Look at the file's rights and the disk's free space.", Exit.FAILURE)
    except Exception as error:
        if environment.get("CUPOOL_DEBUG"):
            raise
        return _failed(
            f"unexpected {type(error).__name__}: {error}",
            "Please report it; CUPOOL_DEBUG=1 shows where it happened.",
            Exit.FAILURE,
        )


def _failed(what: str, cure: str, code: int) -> int:
    show.note(f"cupool: {what}")
    if cure:
        show.note(f"  try: {cure}")
    return int(code)


def _usage(error: click.UsageError) -> None:
    path = error.ctx.command_path if error.ctx else "cupool"
    text = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(text, err=True)
        return
    show.note(f"cupool: {' '.join(text.split())}")  # click lists what may be chosen on lines of their own
    show.note(f"  try: {path} --help")
