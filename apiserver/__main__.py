"""`python -m cupool.apiserver`: one API server process. See `--help`.

With --orders its agent tells it what to do on its standard input, and it reports on its standard output (see server.proto). Without, it
prints one line of JSON when it is ready: {"ready": true, "endpoint": "127.0.0.1:4711", "pid": 4242}. It serves
one session and ends; it also ends when its standard input is closed, because that means that its agent is gone.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import threading
from typing import Any

from cupool.contract import logs, offload, signals
from cupool.contract.errors import AGENT_GONE
from cupool.contract.limits import GIB
from cupool.contract.malloc import limit_arenas, tune_allocator
from cupool.contract.statusfile import StatusWriter

from . import confine
from .config import Config, parse
from .control import Orders, serve_control
from .devices import make_device
from .fusion import driver
from .rehearsal import rehearse
from .service import ApiServer

log = logging.getLogger(__name__)

#: How long one thread keeps the interpreter when others want it.
SWITCH_S = 0.001
#: Of malloc: one for the thread that executes, one for all others, which hold the interpreter in most of what they do.
ARENAS = 2


def main(config: Config | None = None) -> int:
    """Serve one session. Returns the exit status.

    Args:
        config: the command line, where it was read before this process was confined: files that it names may be out of reach since.
    """
    config = config or parse()
    if config.sandbox != "off" and not confine.is_confined():
        try:
            confine.confine(config)
        except OSError as error:
            print(f"cupool.apiserver: cannot start: {error}", file=sys.stderr)
            return 1
    logs.configure(config.server, config.log_level, config.log_format)
    confine.report()
    for warning in config.warnings:
        log.warning("event=listener text=%r", warning)
    # Bulk transfers have threads of their own, beside one that executes Python without a pause.
    sys.setswitchinterval(SWITCH_S)
    tune_allocator()
    limit_arenas(ARENAS)
    try:
        status = StatusWriter(config.status_file or None)
        device = make_device(
            config.kind,
            config.number,
            config.memory_bytes,
            config.arena_base,
            config.cuda_moves,
            config.cuda_graphs,
            config.cuda_fusion,
        )
        device.warm()
        server = ApiServer(config, device, status)
    except (LookupError, ImportError, OSError, ValueError, RuntimeError) as error:
        print(f"cupool.apiserver: cannot start: {error}", file=sys.stderr)
        return 1
    if config.kind == "cpu":
        limit_memory(config.memory_bytes)
    if config.assignment is not None:
        server.assign(config.assignment)
    return run(config, server)


def limit_memory(memory_bytes: int) -> None:
    """The last resort behind accounting: NumPy's temporaries cannot take more than twice the limit and a gigabyte."""
    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_DATA, (now + 2 * memory_bytes + GIB, resource.RLIM_INFINITY))
    except (OSError, ValueError) as error:
        log.warning("event=no-memory-limit reason=%r", str(error))


def run(config: Config, server: ApiServer) -> int:
    """Serve until there is a reason to end."""
    offload.INSIDE = True
    reasons = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}
    signals.hear(lambda number: server.stop(reasons[signal.Signals(number)]), *reasons)
    orders = Orders(server, *_take_pipes()) if config.orders else None
    try:
        data, endpoint = server.serve()
        control = serve_control(server, config.control) if config.control else None
    except RuntimeError as error:
        print(f"cupool.apiserver: cannot listen: {error}", file=sys.stderr)
        return 1
    if orders is not None:
        orders.start(endpoint)
    else:
        if config.stdin_watch:
            threading.Thread(target=_watch_stdin, args=(server,), name="cupool-stdin", daemon=True).start()
        print(json.dumps({"ready": True, "endpoint": endpoint, "pid": os.getpid()}), flush=True)
    _rehearse(config, server, endpoint)
    reason = server.wait_done()
    log.info("event=server-ends reason=%r", reason)
    server.close()
    stopping: list[Any] = [data.stop(0.2)]
    if control is not None:
        stopping.append(control.stop(0.2))
    for stopped in stopping:
        stopped.wait(1.0)
    server.status.close()
    return 0


def _rehearse(config: Config, server: ApiServer, endpoint: str) -> None:
    """After the server is said to be warm, and while nobody has come: whoever has waited for this server does not wait for that too."""
    if config.kind == "cpu" and config.fuses and config.fusion_threads != 1:
        driver.prepare()
    if server.assignment is None:
        server.rehearse()
    if server.assignment is None and config.tls is None:
        rehearse(server.device, endpoint)


def _take_pipes() -> tuple[int, int]:
    """The pipes of orders and reports, moved away from where a library might read or print."""
    commands, reports = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, reports


def _watch_stdin(server: ApiServer) -> None:
    """Whoever started us holds the other end of standard input and never writes: end of file means that it is gone."""
    fd = sys.stdin.fileno()
    while os.read(fd, 4096):
        pass
    server.stop(AGENT_GONE)


def finish() -> None:
    """Write out what is to be written. Threads may be inside of a kernel or a call that never returns: nothing of theirs is waited for."""
    logging.shutdown()
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    finish()
    os._exit(code)
