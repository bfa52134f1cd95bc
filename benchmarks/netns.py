"""Hosts and a router between them, as network namespaces on this machine: for what needs a network that forgets, or that falls apart.

    with two_hosts() as net:
        process = subprocess.Popen(net.on_client([...]))
        net.forget({40123})         # the router drops this flow without a word, as NAT does with those of frozen functions

    with star(("client", "controller", "a", "b")) as net:
        net.part([("client", "a"), ("a", "b")])   # no packet passes between these, until `heal`

Needs root and `ip`; `missing()` says what is not there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

#: The namespaces' own networks; they meet nothing outside.
CLIENT, SERVER = "10.213.1.2", "10.213.2.2"
_ROUTER = {"client": "10.213.1.1", "server": "10.213.2.1"}


def missing() -> str:
    """Why there can be no namespaces here; "" when there can."""
    if shutil.which("ip") is None:
        return "the program `ip` is not installed"
    name = f"cupool-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


_NAME = re.compile(r"cupool-(\d+)-[a-z0-9-]+")


class Network:
    """The three namespaces."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.client, self.router, self.server = (f"{name}-{side}" for side in ("c", "r", "s"))

    def on_client(self, command: list[str]) -> list[str]:
        """The command line that runs `command` on the client's host."""
        return ["ip", "netns", "exec", self.client, *command]

    def on_server(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self.server, *command]

    def build(self) -> None:
        for space in (self.client, self.router, self.server):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        for side, space, address in (("client", self.client, CLIENT), ("server", self.server, SERVER)):
            _ip("-n", space, "link", "add", "up0", "type", "veth", "peer", "name", side, "netns", self.router)
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "up0")
            _ip("-n", space, "link", "set", "up0", "up")
            _ip("-n", self.router, "addr", "add", f"{_ROUTER[side]}/24", "dev", side)
            _ip("-n", self.router, "link", "set", side, "up")
            _ip("-n", space, "route", "add", "default", "via", _ROUTER[side])
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        subprocess.run(["ip", "netns", "exec", self.router, "sh", "-c", forward], check=True)

    def remove(self) -> None:
        for space in (self.client, self.router, self.server):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)

    def flows_of(self, pid: int) -> set[int]:
        """The client's ports of the connections that a process on the client's host has to the server's host."""
        inodes = set()
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        ports = set()
        for table in ("tcp", "tcp6"):
            with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
                next(file)
                for line in file:
                    fields = line.split()
                    if fields[9] in inodes and fields[3] == "01":  # established
                        ports.add(int(fields[1].rpartition(":")[2], 16))
        return ports

    def forget(self, ports: Iterable[int]) -> None:
        """Drop every packet of these flows, in both directions, from now on."""
        self._rules("add", ports)

    def remember(self, ports: Iterable[int]) -> None:
        """Take the rules away again; the numbers may come again for other flows."""
        self._rules("del", ports)

    def _rules(self, verb: str, ports: Iterable[int]) -> None:
        for port in ports:
            for end in ("sport", "dport"):
                _ip("-n", self.router, "rule", verb, "ipproto", "tcp", end, str(port), "blackhole")


class Star:
    """Hosts by name, each with a wire of its own to the router.

    Attributes:
        address: of each host.
    """

    def __init__(self, name: str, hosts: Sequence[str]) -> None:
        self._router = f"{name}-router"
        self._spaces = {host: f"{name}-{host}" for host in hosts}
        self.address = {host: f"10.214.{n}.2" for n, host in enumerate(hosts, 1)}
        self._parted: list[tuple[str, str]] = []

    def on(self, host: str, command: list[str]) -> list[str]:
        """The command line that runs `command` on a host."""
        return ["ip", "netns", "exec", self._spaces[host], *command]

    def build(self) -> None:
        for space in (self._router, *self._spaces.values()):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        for n, (host, space) in enumerate(self._spaces.items(), 1):
            _ip("-n", space, "link", "add", "up0", "type", "veth", "peer", "name", f"to{n}", "netns", self._router)
            _ip("-n", space, "addr", "add", f"{self.address[host]}/24", "dev", "up0")
            _ip("-n", space, "link", "set", "up0", "up")
            _ip("-n", self._router, "addr", "add", f"10.214.{n}.1/24", "dev", f"to{n}")
            _ip("-n", self._router, "link", "set", f"to{n}", "up")
            _ip("-n", space, "route", "add", "default", "via", f"10.214.{n}.1")
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        subprocess.run(["ip", "netns", "exec", self._router, "sh", "-c", forward], check=True)

    def part(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Drop every packet between the two of each pair, without a word."""
        for a, b in pairs:
            self._parted.append((a, b))
            self._rules("add", a, b)

    def heal(self) -> None:
        while self._parted:
            self._rules("del", *self._parted.pop())

    def _rules(self, verb: str, a: str, b: str) -> None:
        for one, other in ((a, b), (b, a)):
            ends = ("from", f"{self.address[one]}/32", "to", f"{self.address[other]}/32")
            _ip("-n", self._router, "rule", verb, *ends, "priority", "10", "blackhole")

    def remove(self) -> None:
        for space in (self._router, *self._spaces.values()):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _sweep() -> None:
    """Remove what runs left that were killed."""
    for entry in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
        found = _NAME.fullmatch(entry)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            subprocess.run(["ip", "netns", "del", entry], check=False, capture_output=True)


@contextmanager
def two_hosts() -> Iterator[Network]:
    """The network; everything in it is gone afterwards."""
    _sweep()
    network = Network(f"cupool-{os.getpid()}")
    try:
        network.build()
        yield network
    finally:
        network.remove()


@contextmanager
def star(hosts: Sequence[str], name: str = "x") -> Iterator[Star]:
    """The network; everything in it is gone afterwards. `name`: tells it from others of this process."""
    _sweep()
    network = Star(f"cupool-{os.getpid()}-{name}", hosts)
    try:
        network.build()
        yield network
    finally:
        network.remove()
