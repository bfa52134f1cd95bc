"""Keeps a pool's processes running on this host: starts them, starts again what ended without being told to, ends them, and cleans up.

    python -m cupool.pool.supervisor --folder DIR      what `cupool up` leaves behind; with --foreground it runs in `up` itself

A process of the pool is started as `python -m MODULES[NAME] --record FILE` in a session of its own, with FILE by
`settings.write_record`. When it is ready it prints one JSON line; {"error", "cure"} says why it cannot be. SIGTERM ends it.
A status of 0 says that it was told to end; after any other it is started again. The supervisor's own death ends nothing: the processes
go on, and `cupool down` finds them.

Boundary: processes and files. It speaks no gRPC and imports nothing that is slow; what the pool does it does not know.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cupool.contract import signals

from . import belongings, settings
from .cli import place
from .cli.place import Running
from .config import PoolConfig
from .supervised import Child, status_text

#: What runs each process: the controller comes with what moves sessions, which is not the pool's.
MODULES = {"controller": ("cupool.controller",), "agent": ("cupool.pool", "agent"), "balancer": ("cupool.balancer",)}


class CannotStart(Exception):
    """A process said that it cannot start, or ended before it was ready."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.what, self.cure = what, cure


class Supervisor:
    """The processes of one pool on this host.

    Args:
        folder: the pool's.
        controller: what the controller is told; None: this host joins a pool whose controller is elsewhere.
        agent: what the agent is told; its `controller` is filled in where the controller runs here.
        logs: whether processes write into the folder's `logs`; else to our standard error.
        stop_grace_s: how long sessions are waited for after SIGTERM. SIGINT and a second SIGTERM end them at once.
        commands: the command lines of both, for tests.
    """

    def __init__(
        self,
        folder: Path,
        controller: PoolConfig | None,
        agent: PoolConfig,
        logs: bool = True,
        stop_grace_s: float = 0.0,
        commands: dict[str, list[str]] | None = None,
    ) -> None:
        self._folder = folder
        self._controller_config, self._agent_config = controller, agent
        self.running = Running(
            addr="",
            admin_addr="",
            mark=secrets.token_hex(16),
            supervisor_pid=os.getpid(),
            run_folder=str(belongings.run_folder(folder)),
        )
        environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"} | {
            belongings.MARK: self.running.mark
        }

        def child(name: str) -> Child:
            command = (commands or {}).get(name) or [sys.executable, "-P", "-m", *MODULES[name]]
            # Where the controller finds them for `cupool logs`: a node's by its id.
            log = folder / "logs" / f"{(name == 'agent' and agent.node) or name}.log" if logs else None
            return Child(name, [*command, "--record", str(folder / f"{name}.record")], log, environment)

        self._controller = child("controller") if controller is not None else None
        self._agent = child("agent")
        self._balancer = None
        if controller is not None and controller.balance != "none":
            # Its command line is whole when the controller has said where operators come.
            self._balancer = child("balancer")
            self._balancer.command = (commands or {}).get("balancer") or [
                sys.executable,
                "-P",
                "-m",
                *MODULES["balancer"],
            ]
        self._is_ending = False
        self._stop_grace_s = stop_grace_s
        self._is_asked = False
        self._stopping: subprocess.Popen[bytes] | None = None
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def _children(self) -> Iterator[Child]:
        return (c for c in (self._controller, self._agent, self._balancer) if c is not None)

    def run(self, on_ready: Callable[[Running], None]) -> None:
        """Start all, call `on_ready` when they are, and keep them running until they are told to end. Cleans up.

        Raises:
            CannotStart: one of them could not be made ready at the first start.
        """
        as_before = signals.hear(self._told, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        try:
            self._start(on_ready)
            while not self._is_ending:
                if self._is_asked and self._stopping is None:
                    self._stop_gently()
                    continue
                self._wait()
                self._look_after()
        finally:
            self._end()
            as_before()
            os.close(self._read_end)
            os.close(self._write_end)

    def end(self) -> None:
        """From any thread: end all."""
        self._is_ending = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_end, b"x")

    def _told(self, number: int) -> None:
        """A signal. The first SIGTERM lets sessions end first, where there is time for it."""
        if number == signal.SIGTERM and self._stop_grace_s and not self._is_asked:
            self._is_asked = True
            with contextlib.suppress(BlockingIOError):
                os.write(self._write_end, b"x")
        else:
            self.end()

    def _stop_gently(self) -> None:
        """An operator's command tells the controller, which ends when sessions have, and then us."""
        if self._controller is None or not self._controller.said:
            self._is_ending = True
            return
        words = [
            "--folder",
            str(self._folder),
            "--deadline",
            f"{self._stop_grace_s:g}s",
            "--reason",
            "The pool's host ends it.",
        ]
        self._stopping = subprocess.Popen(
            [sys.executable, "-P", "-m", "cupool", "down", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    # ---- starting

    def _start(self, on_ready: Callable[[Running], None]) -> None:
        if self._controller is not None:
            self._write_record("controller", self._controller_config)
            self._controller.start()
            self._wait_ready(self._controller)
            self._controller_is_ready(self._controller)
        if not self._is_ending:
            self._write_record("agent", self._agent_config)
            self._agent.start()
            self._wait_ready(self._agent)
        if not self._is_ending:
            if self._balancer is not None:
                self._balancer.command = [*self._balancer.command, *self._balancer_arguments()]
                self._start_again(self._balancer)  # a pool serves without one: nobody waits for it
            self._tell()
            on_ready(self.running)

    def _write_record(self, name: str, config: PoolConfig | None) -> None:
        assert config is not None
        settings.write_record(config, self._folder / f"{name}.record")

    def _wait_ready(self, child: Child) -> None:
        while not child.said and not self._is_ending:
            self._is_ending |= self._is_asked  # there are no sessions yet
            if child.process is None:
                raise CannotStart(f"The {child.name} could not be started.")
            self._wait()
            if child.process is not None and child.has_ended and not child.said:
                status = child.reap()
                if "error" not in child.said and not (status == 0 and self._is_ending):
                    raise CannotStart(
                        f"The {child.name} ended with {status_text(status)} before it was ready{child.last_words()}.",
                        f"Look into {child.log}." if child.log else "",
                    )
        if "error" in child.said:
            raise CannotStart(str(child.said["error"]), str(child.said.get("cure", "")))

    def _controller_is_ready(self, controller: Child) -> None:
        """Its addresses are those of the next start too: agents and programs know them."""
        said = controller.said
        assert self._controller_config is not None
        addresses = {
            "listen": said.get("addr", self._controller_config.listen),
            "cert_listen": said.get("cert", self._controller_config.cert_listen),
            "admin_listen": said.get("admin", self._controller_config.admin_listen),
            "agent_listen": said.get("agent", self._controller_config.agent_listen),
            "metrics_listen": said.get("metrics", self._controller_config.metrics_listen),
        }
        self._controller_config = dataclasses.replace(self._controller_config, **addresses)
        self._write_record("controller", self._controller_config)
        self._agent_config = dataclasses.replace(self._agent_config, controller=reachable(addresses["agent_listen"]))
        self.running = dataclasses.replace(
            self.running,
            addr=reachable(addresses["listen"]),
            admin_addr=reachable(addresses["admin_listen"]),
            agent_addr=addresses["agent_listen"],
            metrics_addr=addresses["metrics_listen"],
            cert_addr=addresses["cert_listen"],
            token_file=str(self._folder / "token"),
            admin_token_file=str(self._folder / "admin-token"),
            ca_file=self._controller_config.tls_ca if self._controller_config.tls_cert else "",
        )

    def _balancer_arguments(self) -> list[str]:
        """It asks the controller as operators do, with a credential of its own."""
        config = self._controller_config
        assert config is not None
        words = ["--controller", self.running.admin_addr, "--token-file", str(self._folder / "balancer-token")]
        words += ["--log-level", config.log_level, "--log-format", config.log_format]
        if config.tls_cert:
            words += ["--ca", config.tls_ca]
            if config.tls_client_auth:
                words += ["--cert", config.tls_cert, "--key", config.tls_key]
        return words

    def _start_again(self, child: Child) -> None:
        try:
            child.start()
        except OSError as error:
            _log(f"the {child.name} could not be started: {error}")
            child.again()

    def _tell(self) -> None:
        """Write `pool.json`."""
        self.running = dataclasses.replace(
            self.running,
            controller_pid=self._controller.pid if self._controller else 0,
            agent_pid=self._agent.pid,
            balancer_pid=self._balancer.pid if self._balancer else 0,
            started=self.running.started or time.time(),
        )
        place.write(self._folder, self.running)

    # ---- keeping

    def _wait(self) -> None:
        """Until something happens, or something is to be started."""
        poll = select.poll()
        poll.register(self._read_end, select.POLLIN)
        by_output = {}
        for child in self._children():
            if child.process is not None:
                poll.register(child.pidfd, select.POLLIN)
                if child.output >= 0:
                    poll.register(child.output, select.POLLIN)
                    by_output[child.output] = child
        due = [c.starts_at for c in self._children() if c.starts_at]
        timeout_ms = max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None
        for fd, _ in poll.poll(timeout_ms):
            if fd in by_output:
                by_output[fd].read()
            elif fd == self._read_end:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._read_end, 4096)

    def _look_after(self) -> None:
        for child in self._children():
            if child.process is not None and child.has_ended:
                status = child.reap()
                if status == 0 and (child is self._controller or self._controller is None):
                    self._is_ending = True  # it was told to end
                    return
                words = f": {child.said['error']}" if "error" in child.said else ""
                _log(
                    f"the {child.name} ended with {status_text(status)}{words}; it starts again in {child.pause_s:g} s"
                )
                child.again()
            elif child.process is None and child.starts_at and time.monotonic() >= child.starts_at:
                self._start_again(child)
                if child.process is not None:
                    self._tell()

    # ---- ending

    def _end(self) -> None:
        """The agent before the controller, which hears of the ends of its sessions."""
        children = [c for c in (self._balancer, self._agent, self._controller) if c is not None]
        for child in children:
            if child.process is None:
                continue
            child.signal(signal.SIGTERM)
            ends = time.monotonic() + belongings.END_S
            while not child.has_ended:
                left_s = ends - time.monotonic()
                if left_s <= 0:
                    _log(f"the {child.name} did not end within {belongings.END_S:g} s of being told to; it is killed")
                    child.signal(signal.SIGKILL)
                child.drain(max(left_s, 1.0))
            child.reap()
        belongings.end_all(self.running, 2.0)
        belongings.clean(self._folder, self.running)
        if self._stopping is not None:
            self._stopping.terminate()  # it waited for us
            self._stopping.wait()


def _log(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} source=supervisor {text}", file=sys.stderr, flush=True)


def reachable(address: str) -> str:
    """An address to connect to from one to listen at: 0.0.0.0 is this host."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]", "") and port.isdigit() else address


def notify(state: str) -> None:
    """Tell systemd, where it asks to be told (Type=notify)."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if not where:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.connect("\0" + where[1:] if where.startswith("@") else where)
        channel.sendall(state.encode())


def main(arguments: list[str] | None = None) -> int:
    """The process that `cupool up` leaves behind. Tells on its standard output, in JSON lines, when all is ready or why it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m cupool.pool.supervisor")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--join", action="store_true", help="no controller: an agent alone")
    parser.add_argument("--stop-grace-s", type=float, default=0.0)
    options = parser.parse_args(arguments)
    try:
        held = belongings.lock(options.folder)
    except OSError as error:
        print(
            json.dumps(
                {
                    "error": f"Another supervisor has {options.folder}: {error.strerror}.",
                    "cure": "`cupool down` ends it.",
                }
            ),
            flush=True,
        )
        return 1
    try:
        controller = None if options.join else settings.read_record(options.folder / "controller.record")
        agent = settings.read_record(options.folder / "agent.record")
        supervisor = Supervisor(options.folder, controller, agent, stop_grace_s=options.stop_grace_s)

        def ready(running: Running) -> None:
            print(json.dumps({"ready": True}), flush=True)
            # Nobody reads any more: what is written goes nowhere, and no pipe breaks.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)

        supervisor.run(ready)
        return 0
    except CannotStart as error:
        print(json.dumps({"error": error.what, "cure": error.cure}), flush=True)
        return 1
    except Exception as error:
        print(
            json.dumps(
                {
                    "error": f"{type(error).__name__}: {error}",
                    "cure": f"Look into {options.folder}/logs/supervisor.log.",
                }
            ),
            flush=True,
        )
        raise
    finally:
        os.close(held)


if __name__ == "__main__":
    raise SystemExit(main())
