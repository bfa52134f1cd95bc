"""The controller of a pool whose agents are processes of their own, here or on other hosts.

`python -m cupool.controller` runs it with what moves sessions, which is the balancer's; `python -m cupool.pool controller` without: that
pool moves none.

Prints one JSON line on its standard output when it answers: {"addr", "cert", "admin", "agent", "metrics", "pool", "pid"}, or {"error",
"cure"} and ends. When it is told to end (SIGTERM, SIGINT) sessions go on: the next controller takes them over. It ends with status 0 when
it was told to, also by an operator's Shutdown. `--record FILE` reads what `cupool up` wrote; other options go before it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cupool.contract import logs, signals
from cupool.contract.errors import CupoolError
from cupool.contract.listening import ListenRefused

from .config import PoolConfig, Quota
from .rundir import RunDir

if TYPE_CHECKING:
    from cupool.contract.moves import Machine

    from .metrics_http import MetricsServer
    from .services import Serving

_log = logging.getLogger(__name__)

DIRECTORY, AUDIT = "directory.sqlite", "audit.log"


class Bad(CupoolError):
    """The controller cannot start."""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m cupool.pool controller", description="The controller of a pool.")
    result.add_argument("--record", type=Path, help="file with the whole configuration, as `cupool up` writes it")
    result.add_argument("--folder", help="the pool's: directory, audit log")
    result.add_argument("--listen", help="where clients come: host:port (port 0: any) or unix:/path")
    result.add_argument("--cert-listen", help="where clients come that show a certificate")
    result.add_argument("--admin-listen", help="where operators come")
    result.add_argument("--agent-listen", help="where agents come")
    result.add_argument("--metrics-listen", help="where /metrics is")
    result.add_argument("--token-file", type=Path, help="file with the credential of the tenant `default`")
    result.add_argument("--admin-token-file", type=Path, help="file with a credential of the role admin")
    result.add_argument("--agent-token-file", type=Path, help="file with a credential of the role agent")
    result.add_argument("--tls-cert")
    result.add_argument("--tls-key")
    result.add_argument("--tls-ca")
    result.add_argument("--anonymous", action="store_true", default=None)
    result.add_argument("--insecure", action="store_true", default=None)
    result.add_argument("--max-sessions", type=int, help="sessions on a device at once, at most")
    result.add_argument("--warm", type=int, help="warm servers kept on each device")
    result.add_argument("--queue-places", type=int, help="Acquires that may wait at once, of all tenants together")
    result.add_argument("--lease-s", type=int, help="a lease that nobody attaches to or renews ends after this")
    result.add_argument("--park-grace-ms", type=int, help="how long a session without a client is kept")
    result.add_argument(
        "--allow-faults", action="store_true", default=None, help="let clients ask a server to fail; for tests"
    )
    result.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    return result


def configure(arguments: list[str], run_folder: Path) -> PoolConfig:
    """The configuration. Raises CupoolError, ValueError, OSError."""
    from .settings import read_record

    options = parser().parse_args(arguments)
    config = read_record(options.record) if options.record else PoolConfig(max_sessions=8, quota=Quota())
    names = {f.name for f in dataclasses.fields(PoolConfig)}
    given = {k: v for k, v in vars(options).items() if k in names and v is not None}
    for name in ("token", "admin_token", "agent_token"):
        file = getattr(options, f"{name}_file")
        if file is not None:
            given[name] = file.read_text().strip()
            if not given[name]:
                raise Bad(f"{file} is empty.", "Put the credential into it: one line.")
    config = dataclasses.replace(config, **given)
    defaults: dict[str, Any] = {
        name: f"unix:{run_folder / socket}"
        for name, socket in (("listen", "pool.sock"), ("admin_listen", "admin.sock"), ("agent_listen", "agents.sock"))
        if not getattr(config, name)
    }
    config = dataclasses.replace(config, **defaults)
    if bool(config.tls_cert) != bool(config.tls_key):
        raise Bad("The TLS certificate and its key go together.", "Give both --tls-cert and --tls-key, or neither.")
    if config.max_sessions < 1:
        raise Bad(f"--max-sessions is {config.max_sessions}.", "Write 1 or more.")
    return config


def main(arguments: list[str] | None = None, machine: Machine | None = None) -> int:
    """Run the controller until it is told to end. Returns its exit status. `machine`: decides of moves."""
    from .__main__ import missing_modules, say

    arguments = sys.argv[1:] if arguments is None else arguments
    if missing := missing_modules():
        say(
            error=f"A controller needs the extra `server`, which is not installed here (no module {', '.join(missing)}).",
            cure="Install it: pip install 'cupool[server]'.",
        )
        return 2
    run_dir = RunDir()
    try:
        config = configure(arguments, run_dir.path)
        return serve(config, machine)
    except CupoolError as error:
        say(error=error.what, cure=error.cure)
    except ListenRefused as error:
        say(error=error.what, cure=error.cure)
    except (ValueError, OSError) as error:
        say(error=str(error), cure="")
    finally:
        run_dir.remove()
    return 2


def serve(config: PoolConfig, machine: Machine | None = None) -> int:
    """Listen, wait for agents, and serve until told to end. Raises OSError, CupoolError, ValueError."""
    from .__main__ import say
    from .auditing import Auditor
    from .controller import Controller
    from .directory import Directory, DirectoryError
    from .directory_sqlite import SqliteDirectory
    from .engines.remote import RemoteEngine
    from .security import listen
    from .security.audit import AuditLog, AuditUnavailable
    from .services import Serving, cert_door, doors, metrics_door

    logs.configure("controller", config.log_level, config.log_format)
    metrics_doors = [metrics_door(config)] if config.metrics_listen else []
    cert_doors = [cert_door(config)] if config.cert_listen else []
    verdict = listen.check([*doors(config), *cert_doors, *metrics_doors], config.insecure)
    config = dataclasses.replace(config, insecure=verdict.insecure)
    for warning in verdict.warnings:
        _log.warning("event=listener text=%r", warning)
    stopping = threading.Event()
    signals.hear(lambda _: stopping.set(), signal.SIGTERM, signal.SIGINT)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        folder = Path(config.folder) if config.folder else None
        directory, auditor = Directory(), Auditor(None)
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                directory = SqliteDirectory(folder / DIRECTORY)
                stack.callback(directory.close)
                auditor = Auditor(AuditLog(folder / AUDIT))
            except (DirectoryError, AuditUnavailable) as error:
                raise Bad(str(error)) from error
            stack.callback(auditor.close)
        engine = RemoteEngine()
        controller = Controller(config, engine, directory, machine=machine)
        stack.callback(controller.events.listen(auditor.event))
        controller.open()
        folders = [folder] if folder is not None else []
        serving = Serving(controller, config, stopping.set, folders, auditor, engine, verdict.warnings)
        stack.callback(serving.stop, 0.2)
        stack.callback(engine.close)
        serving.start()
        stack.callback(controller.close)
        stack.callback(controller.keep_counts)
        metrics = _metrics(config, serving)
        if metrics is not None:
            stack.callback(metrics.close)
        say(
            addr=serving.address, cert=serving.cert_address, admin=serving.admin_address, agent=serving.agent_address,
            metrics=metrics.address if metrics is not None else "", pool=directory.pool, pid=str(os.getpid()),
        )  # fmt: skip
        stopping.wait()
    return 0


def _metrics(config: PoolConfig, serving: Serving) -> MetricsServer | None:
    if not config.metrics_listen:
        return None
    from .metrics import from_operations
    from .metrics_http import MetricsServer
    from .services import metrics_door

    return MetricsServer(
        metrics_door(config),
        from_operations(serving.operations),
        is_serving=serving.is_serving,
        allows=None if config.anonymous else serving.allows,
    )


if __name__ == "__main__":
    raise SystemExit(main())
