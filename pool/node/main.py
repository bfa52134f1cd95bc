"""`python -m cupool.pool agent`: the agent of this host, for a controller here or elsewhere.

Prints one JSON line on its standard output when it is ready to start servers: {"node": ID, "pid": PID}, or {"error", "cure"} and ends.
It lives until it is told to end (SIGTERM, SIGINT), with or without its controller. `--record FILE` reads what `cupool up` wrote; other
options go before it.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cupool.contract import logs, signals
from cupool.contract.errors import CupoolError

from ..config import DeviceConfig, PoolConfig
from ..rundir import RunDir
from .health import TEST_AT_MOST_S
from .host import Host
from .loop import Loop
from .measure import Measures
from .nvml import Sampler
from .zygote import adopt_orphans, fork_servers

_log = logging.getLogger(__name__)

#: How long servers may take to end when the agent is told to.
END_GRACE_S = 3.0
#: How long the test of a device may take.
TEST_LIMIT_S = 60.0
assert TEST_LIMIT_S < TEST_AT_MOST_S


class Bad(CupoolError):
    """The agent cannot start."""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m cupool.pool agent", description="The agent of this host.")
    result.add_argument("--record", type=Path, help="file with the whole configuration, as `cupool up` writes it")
    result.add_argument("--controller", help="address of the controller's AgentService: host:port or unix:/path")
    result.add_argument(
        "--devices", help="kind[:count[:memory]],...: cpu:2:1GiB, cuda:1, cuda@3; default: what there is"
    )
    result.add_argument("--listen", help="where servers listen: host:0, or empty for unix sockets")
    result.add_argument("--folder", help="the agent's folder: its node id, and ends of sessions on their way")
    result.add_argument("--node", help="the node's id; default: chosen once, kept in the folder")
    result.add_argument("--token-file", type=Path, help="file with a token of the role agent")
    result.add_argument("--tls-ca", help="the pool's authority: the controller must show a certificate of it")
    result.add_argument(
        "--tls-cert", help="this node's certificate, an authority for its servers (`cupool certs issue`)"
    )
    result.add_argument("--tls-key", help="its private key")
    result.add_argument(
        "--allow-faults", action="store_true", default=None, help="let clients ask a server to fail; for tests"
    )
    result.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    result.add_argument(
        "--cold", action="store_true", help="start every server as a process of its own, without a zygote"
    )
    return result


def configure(arguments: list[str]) -> tuple[PoolConfig, bool]:
    """The configuration, and whether servers are started cold. Raises Bad, ValueError, OSError."""
    from ..settings import host_devices, read_record

    options = parser().parse_args(arguments)
    config = read_record(options.record) if options.record else PoolConfig()
    given = {
        name: value
        for name in (
            "controller",
            "listen",
            "folder",
            "node",
            "tls_ca",
            "tls_cert",
            "tls_key",
            "allow_faults",
            "log_level",
        )
        if (value := getattr(options, name)) is not None
    }
    if options.token_file:
        given["agent_token"] = options.token_file.read_text().strip()
    config = dataclasses.replace(config, **given)
    if options.devices or not config.devices:
        config = dataclasses.replace(config, devices=tuple(host_devices(options.devices or "")))
    if not config.controller:
        raise Bad(
            "An agent needs the address of its controller.",
            "Give --controller host:port, or unix:/path on the controller's host.",
        )
    if bool(config.tls_cert) != bool(config.tls_key):
        raise Bad("--tls-cert and --tls-key go together.", "Give both, or neither.")
    return config, options.cold


def main(arguments: list[str] | None = None) -> int:
    """Run the agent until it is told to end. Returns its exit status."""
    from ..__main__ import missing_modules, say

    arguments = sys.argv[1:] if arguments is None else arguments
    if missing := missing_modules():
        say(
            error=f"An agent needs the extra `server`, which is not installed here (no module {', '.join(missing)}).",
            cure="Install it: pip install 'cupool[server]'.",
        )
        return 2
    try:
        config, cold = configure(arguments)
        folder = Path(config.folder) if config.folder else None
        lock = _lock(folder) if folder is not None else -1
        node = config.node or _node_id(folder)
    except CupoolError as error:
        say(error=error.what, cure=error.cure)
        return 2
    except (ValueError, OSError) as error:
        say(error=str(error), cure="")
        return 2
    logs.configure("agent", config.log_level, config.log_format)
    run_dir = RunDir()
    try:
        return _serve(config, node, folder, run_dir.path, cold)
    except (CupoolError, OSError) as error:
        say(error=str(error), cure="")
        return 2
    finally:
        run_dir.remove()
        if lock >= 0:
            os.close(lock)


def _serve(config: PoolConfig, node: str, folder: Path | None, run_folder: Path, cold: bool) -> int:
    from ..__main__ import say
    from .outbox import Outbox

    adopt_orphans()
    loop = Loop()
    signals.hear(lambda _: loop.stop(), signal.SIGTERM, signal.SIGINT)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    own_children: set[int] = set()
    measures = Measures(config.devices, _sampler(config), _tester(loop, own_children), config.application_xids)
    host = Host(config, run_folder, loop, measures, folder / "logs" if folder is not None else None)
    host.own_children, host.adopts = own_children, True
    if config.tls_cert:
        host.starting.extra_arguments = _certificates(config, node, run_folder)
    zygote = None if cold else fork_servers(config, loop, host)
    from ..logs import LogRing
    from .link import Link  # imports grpc, which the zygote's start did not need to wait for
    from .logreader import LogReader

    ring = LogRing()
    ring.setFormatter(logs.Lines("agent", config.log_format))
    logging.getLogger().addHandler(ring)
    reader = LogReader(node, host.logs, ring)
    link = Link(config, node, host, Outbox(folder / "ends" if folder is not None else None), reader)
    link.start()
    say(node=node, pid=str(os.getpid()))
    try:
        loop.run()
    finally:
        host.close(END_GRACE_S)
        link.close()
        if zygote is not None:
            zygote.close()
        loop.close()
    return 0


def _sampler(config: PoolConfig) -> Sampler | None:
    indexes = [d.index for d in config.devices if d.kind == "cuda"]
    if not indexes:
        return None
    try:
        return Sampler(indexes)
    except OSError as error:
        _log.warning("event=no-nvml reason=%r", str(error))
        return None


def _tester(loop: Loop, own_children: set[int]) -> Callable[[DeviceConfig, Callable[[str], None]], None]:
    """Tests a device in a fresh process."""

    def test(device: DeviceConfig, done: Callable[[str], None]) -> None:
        words = [sys.executable, "-P", "-m", "cupool.apiserver.selftest", "--device", device.id]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
        )
        own_children.add(process.pid)
        pidfd = os.pidfd_open(process.pid)
        timer = loop.later(TEST_LIMIT_S, process.kill)

        def ended() -> None:
            loop.unwatch(pidfd)
            os.close(pidfd)
            timer.cancel()
            code = process.wait()
            own_children.discard(process.pid)
            assert process.stdout is not None
            with process.stdout:
                words = process.stdout.read(4096).decode("utf-8", "replace").strip().splitlines()
            done("" if code == 0 else (words[-1] if words and code > 0 else f"the test ended with {code}")[:300])

        loop.watch(pidfd, ended)

    return test


def _certificates(config: PoolConfig, node: str, folder: Path) -> Callable[[str], list[str]]:
    """A certificate of its own for each server, in the server's folder."""
    from ..security.certs import CertsError, NodeAuthority

    try:
        authority = NodeAuthority(Path(config.tls_cert), Path(config.tls_key))
    except CertsError as error:
        raise Bad(str(error)) from error

    # Servers pull sessions from servers of other nodes: they must know whom to believe.
    trust = ["--tls-ca", str(Path(config.tls_ca).resolve())] if config.tls_ca else []

    def issue(server: str) -> list[str]:
        try:
            files = authority.issue(server, node, folder / server)
        except CertsError as error:
            raise OSError(f"it has no certificate: {error}") from error
        return ["--tls-cert", str(files.cert), "--tls-key", str(files.key), *trust]

    return issue


def _lock(folder: Path) -> int:
    """The folder is this agent's. Raises Bad: another agent has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Bad(
            f"Another agent has the folder {folder}.", "End it first, or give this one another --folder."
        ) from None
    return fd


def _node_id(folder: Path | None) -> str:
    """Chosen once, kept in the folder."""
    if folder is not None and (folder / "node").exists():
        return (folder / "node").read_text().strip()
    node = f"node-{secrets.token_hex(4)}"
    if folder is not None:
        (folder / "node").write_text(node + "\n")
    return node


if __name__ == "__main__":
    raise SystemExit(main())
