"""A pool in one process: `python -m cupool.pool --listen 127.0.0.1:7070 --devices cpu:2:1GiB --token-file FILE`.

Prints one JSON line on its standard output when clients may come: {"addr", "token", "admin", "admin_token"}, or {"error", "cure"} and
ends. As a program's own (`python -m cupool.embedded`) it lives as long as the program that started it: when its standard input ends,
or that process does, it ends everything it started, at once. That one can move sessions too, which takes the balancer: not of this
component.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cupool.contract import logs, signals

from .config import DeviceConfig, PoolConfig, Quota, is_local, parse_devices
from .rundir import RunDir

if TYPE_CHECKING:
    from cupool.contract.moves import Machine

    from .node.host import Host
    from .node.loop import Loop
    from .node.zygote import Zygote

#: What the extra `server` brings and a pool or its servers import.
_NEEDED = ("grpc_health", "grpc_reflection", "scipy", "ml_dtypes", "psutil")
#: How long servers may take to end when the pool is told to end; none in an embedded pool whose program is gone.
_END_GRACE_S = 2.0


def parser(*, embedded: bool = False) -> argparse.ArgumentParser:
    result = (
        argparse.ArgumentParser(
            prog="python -m cupool.embedded", description="Start the pool of this one program, gone when that ends."
        )
        if embedded
        else argparse.ArgumentParser(prog="python -m cupool.pool", description="Start a pool on this machine.")
    )
    result.add_argument(
        "--listen", default="", help="host:port (port 0: any) or unix:/path; default: a unix socket of its own"
    )
    result.add_argument(
        "--admin-listen", default="", help="where AdminService listens; default: a unix socket of its own"
    )
    result.add_argument(
        "--devices", default="", help="kind[:count[:memory]],...: cpu:2:1GiB, cuda:1, cuda@3; default: what there is"
    )
    result.add_argument(
        "--token-file", type=Path, help="file with the credential that clients show; default: a fresh one, printed"
    )
    result.add_argument("--admin-token-file", type=Path, help="the same for AdminService")
    result.add_argument(
        "--sessions-per-device", type=int, default=0, help="sessions on a device at once; default 1, embedded 8"
    )
    result.add_argument(
        "--spare", type=int, default=1, help="warm servers kept beside those that are leased; default 1"
    )
    result.add_argument(
        "--kernel-limit-ms", type=int, default=120_000, help="end a server whose kernel runs longer; 0: never"
    )
    result.add_argument("--park-grace-ms", type=int, default=60_000, help="how long a session without a client is kept")
    result.add_argument(
        "--checkpoints-folder",
        default=os.environ.get("CUPOOL_CHECKPOINTS_FOLDER", ""),
        help="where sessions with CUPOOL_DURABILITY=file are kept",
    )
    result.add_argument("--allow-faults", action="store_true", help="let clients ask a server to fail; for tests")
    result.add_argument(
        "--cold", action="store_true", help="start every server as a process of its own, without a zygote"
    )
    result.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return result


def configure(arguments: list[str], folder: Path, *, embedded: bool = False) -> PoolConfig:
    """The configuration that the command line describes. `embedded`: of one program's own pool.

    Raises:
        ValueError, OSError: it makes no sense, or a file cannot be read. The text says what to do.
    """
    from . import devices

    options = parser(embedded=embedded).parse_args(arguments)
    found = parse_devices(options.devices) if options.devices else [devices.find()]
    listen = options.listen or f"unix:{folder / 'pool.sock'}"
    admin = options.admin_listen or f"unix:{folder / 'admin.sock'}"
    for address in (listen, admin):
        if not is_local(address):
            raise ValueError(
                f"The pool does not listen at {address}: other machines could reach it, and whoever opens a session may run code "
                "here. Listen at 127.0.0.1 or a unix socket; addresses for other machines come with TLS, in a later version."
            )
    return PoolConfig(
        devices=tuple(_with_memory(d) for d in found),
        listen=listen,
        admin_listen=admin,
        token=_credential(options.token_file),
        admin_token=_credential(options.admin_token_file),
        tells_token=options.token_file is None,
        tells_admin_token=options.admin_token_file is None,
        embedded=embedded,
        cold=options.cold,
        # Its one user is who started it.
        quota=Quota(allow_offload=embedded),
        max_sessions=options.sessions_per_device or (8 if embedded else 1),
        overcommit=True,
        warm=options.spare,
        kernel_limit_ms=options.kernel_limit_ms,
        park_grace_ms=options.park_grace_ms,
        checkpoint_folder=os.path.abspath(options.checkpoints_folder) if options.checkpoints_folder else "",
        allow_faults=options.allow_faults,
        log_level=options.log_level,
    )


def _with_memory(device: DeviceConfig) -> DeviceConfig:
    from .devices import default_memory_bytes

    return device if device.memory_bytes else dataclasses.replace(device, memory_bytes=default_memory_bytes(device))


def _credential(file: Path | None) -> str:
    if file is None:
        return secrets.token_urlsafe(32)
    token = file.read_text().strip()
    if not token:
        raise ValueError(f"{file} is empty. Put the credential into it: one line.")
    return token


def missing_modules() -> list[str]:
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def say(**record: str) -> None:
    """One JSON line on the standard output."""
    with contextlib.suppress(BrokenPipeError):  # nobody reads any more; the end of our input tells that too
        print(json.dumps(record), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the pool, or one of its parts by name, until it is told to end. Returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["agent"]:
        from .node.main import main as agent

        return agent(arguments[1:])
    if arguments[:1] == ["controller"]:
        from . import controller_main

        return controller_main.main(arguments[1:])
    return run(arguments)


def run(arguments: list[str], *, embedded: bool = False, machine: Callable[[], Machine] | None = None) -> int:
    """A whole pool in this process, until it is told to end. Returns its exit status.

    Args:
        arguments: the command line's.
        embedded: it belongs to the program that started it, and ends with that.
        machine: gives what decides of moves; without, none are made.
    """
    if missing := missing_modules():
        say(
            error=f"A pool needs the extra `server`, which is not installed here (no module {', '.join(missing)}).",
            cure="Install it: pip install 'cupool[server]', or set CUPOOL_ADDR to a pool on another machine.",
        )
        return 2
    run_dir = RunDir()
    try:
        try:
            config = configure(arguments, run_dir.path, embedded=embedded)
        except (ValueError, OSError) as error:
            say(error=str(error), cure="")
            return 2
        return serve(config, run_dir.path, machine)
    finally:
        run_dir.remove()


def serve(config: PoolConfig, folder: Path, machine: Callable[[], Machine] | None = None) -> int:
    """Listen, start warm servers, and serve until told to end."""
    logs.configure("pool", config.log_level, config.log_format)
    from cupool.v1 import agent_pb2

    from .node.host import Host
    from .node.loop import Loop

    loop = Loop()
    host = Host(config, folder, loop)
    zygote = None if config.cold else _zygote(config, loop, host)
    for device in config.devices:
        for _ in range(config.warm):
            host.start(agent_pb2.StartServer(server=f"server-{secrets.token_hex(4)}", device=device.id))
    # Only now what takes longest to load: the servers load at the same time.
    from .controller import Controller
    from .engines.local import LocalEngine
    from .services import Serving

    controller = Controller(config, LocalEngine(host), machine=machine() if machine is not None else None)
    controller.open()
    told = [signal.SIGTERM]
    if config.embedded:
        _live_with_parent(loop)
    else:
        told.append(signal.SIGINT)
    signals.hear(lambda _: loop.stop(), *told)
    try:
        serving = Serving(controller, config, loop.stop, [folder, folder / "logs"])
    except OSError as error:
        host.close(0)
        if zygote is not None:
            zygote.close()
        loop.close()
        say(error=str(error), cure="")
        return 2
    serving.start()
    # A credential from a file is not repeated: standard output may be a journal.
    fresh = {"token": config.token} if config.tells_token else {}
    fresh |= {"admin_token": config.admin_token} if config.tells_admin_token else {}
    say(addr=serving.address, admin=serving.admin_address, **fresh)
    loop.run()
    controller.close()
    host.close(0 if config.embedded else _END_GRACE_S)
    serving.stop(0)
    if zygote is not None:
        zygote.close()
    loop.close()
    return 0


def _zygote(config: PoolConfig, loop: Loop, host: Host) -> Zygote | None:
    """What the first server and all others are forked from. None: they start cold."""
    if any(device.kind != "cpu" for device in config.devices):
        # A GPU's first server would wait for CuPy's import in a process that may not touch the GPU meanwhile.
        return None
    from .node.zygote import adopt_orphans, fork_servers

    try:
        adopt_orphans()
    except OSError as error:
        logging.getLogger(__name__).warning("event=no-zygote reason=%r", str(error))
        return None
    host.adopts = True
    return fork_servers(config, loop, host, waits=True)


def _live_with_parent(loop: Loop) -> None:
    """End when our input ends or the program that started us does. A key pressed at its terminal is that program's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def said() -> None:
        if not os.read(0, 4096):  # nothing is expected here, and nothing is understood
            loop.unwatch(0)
            loop.stop()

    with contextlib.suppress(PermissionError):  # a file: it never says that the program ended
        loop.watch(0, said)
    parent = os.getppid()
    if parent > 1:
        with contextlib.suppress(ProcessLookupError):  # gone already: our input has ended too
            loop.watch(os.pidfd_open(parent), loop.stop)


if __name__ == "__main__":
    raise SystemExit(main())
