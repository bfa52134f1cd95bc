"""The pool's configuration: one frozen record, made from the command line and the environment once."""

from __future__ import annotations

from dataclasses import dataclass

from cupool.contract.sizes import parse_size


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One device of this host."""

    kind: str  #: "cpu" or "cuda"
    index: int  #: the GPU's number; a CPU device's number
    memory_bytes: int  #: what sessions may hold; 0: what the device has

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.index}"


def parse_devices(text: str) -> list[DeviceConfig]:
    """Devices from "cpu:2:1GiB,cuda:1": kind, count and memory of each, the last two optional; "cuda@3" is GPU 3 alone.

    Raises:
        ValueError: it does not read so.
    """
    devices: list[DeviceConfig] = []
    for part in text.split(","):
        words = part.strip().split(":")
        kind, at, index = words[0].partition("@")
        if kind not in ("cpu", "cuda") or len(words) > 3:
            raise ValueError(
                f"{part!r} is no device. Write cpu:2:1GiB (kind, count, memory), cuda:1, or cuda@3 for GPU 3."
            )
        try:
            count = int(words[1]) if len(words) > 1 else 1
            first = int(index) if at else sum(1 for d in devices if d.kind == kind)
        except ValueError:
            raise ValueError(f"{part!r} is no device: the count is not a number. Write cpu:2:1GiB.") from None
        if not 1 <= count <= 1024:
            raise ValueError(f"{part!r}: a host has 1 to 1024 devices of a kind.")
        memory = parse_size(words[2]) if len(words) > 2 else 0
        if len(words) > 2 and not memory:
            raise ValueError(f"{part!r}: a device's memory is positive. Leave it out for all that the device has.")
        devices += [DeviceConfig(kind, first + i, memory) for i in range(count)]
    return devices


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """What one pool process does."""

    devices: tuple[DeviceConfig, ...]
    listen: str = ""  #: "host:port" or "unix:/path"; empty: a unix socket in a folder of its own
    admin_listen: str = ""  #: where AdminService listens; empty: a unix socket beside it
    token: str = ""  #: the credential that clients show
    admin_token: str = ""
    tells_token: bool = True  #: the ready line names the credential; not where it came from a file
    tells_admin_token: bool = True
    embedded: bool = False
    sessions_per_device: int = 1
    #: Warm servers kept beside those that are leased. The embedded pool keeps one only while nothing is leased: a second
    #: server would start while the program computes.
    spare: int = 1
    #: An endless kernel ends its server after this; 0: never. Longer than a display's watchdog, for kernels on slow devices.
    kernel_limit_ms: int = 120_000
    park_grace_ms: int = 60_000  #: how long a session without a client is kept
    start_limit_s: float = 60.0  #: a server that is not ready by then counts as failed
    lease_s: int = 60
    allow_faults: bool = False  #: servers run `@fault` commands, for tests
    log_level: str = "warning"


def host_id() -> str:
    """This host's boot id: a client that knows it can name its process to us."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_local(address: str) -> bool:
    """Whether only this machine can reach `address`."""
    host = address.rpartition(":")[0].strip("[]")
    return address.startswith(("unix:", "unix-abstract:")) or host in ("localhost", "::1") or host.startswith("127.")
