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


#: A device with less is a unit that was forgotten.
LEAST_DEVICE_BYTES = 1 << 20


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
        if 0 < memory < LEAST_DEVICE_BYTES:
            raise ValueError(
                f"{part!r}: {memory:,} bytes are less than a device of 1 MiB. Write the unit with it: cpu:1:100MiB, cpu:1:2GiB."
            )
        devices += [DeviceConfig(kind, first + i, memory) for i in range(count)]
    return devices


@dataclass(frozen=True, slots=True)
class Quota:
    """What a tenant may have. 0 is no limit, except for `queue_places`: with 0 it never waits."""

    sessions: int = 0  #: at once
    memory_bytes: int = 0  #: of devices, leased at once
    kernel_s: float = 0.0  #: executing, over all its sessions
    opens_per_s: float = 0.0  #: leases a second, with a burst of one second's worth and at least one
    queue_places: int = 256  #: Acquires that may wait at once
    lifetime_s: int = 0  #: of one session
    park_grace_ms: int = 0  #: how long a session without a client is kept; 0: as the pool's
    weight: float = 1.0  #: share of the queue, greater than 0
    allow_offload: bool = False  #: may send functions to run in its session's process
    require_cert: bool = False  #: its tokens open nothing without a client certificate of the tenant


#: The tenant of a token file, an embedded pool, or a pool without credentials.
DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """What one pool process does. The controller, the agent and the embedded pool read the same record; each its own part of it."""

    devices: tuple[DeviceConfig, ...] = ()  #: of this host; empty for a controller alone
    #: Where the pool lives between two starts: directory, audit log, logs, pool.json. Empty: an embedded pool, which keeps nothing.
    folder: str = ""
    listen: str = ""  #: "host:port" or "unix:/path"; empty: a unix socket in a folder of its own
    #: where programs come that show a client certificate, over TLS, beside `listen`; empty: nowhere
    cert_listen: str = ""
    admin_listen: str = ""  #: where AdminService listens; empty: a unix socket beside it
    agent_listen: str = ""  #: where AgentService listens; empty: a unix socket beside it
    metrics_listen: str = ""  #: "host:port" of /metrics; empty: none
    controller: str = ""  #: agent: address of the controller's AgentService
    node: str = ""  #: agent: its id; empty: chosen once, kept in its folder
    token: str = ""  #: the credential of the tenant `default`; empty: only tokens of the directory
    admin_token: str = ""  #: a credential of the role admin; empty: only tokens of the directory
    agent_token: str = ""  #: a credential of the role agent; empty: only tokens of the directory
    balancer_token: str = ""  #: a credential of the role balancer; empty: only tokens of the directory
    tells_token: bool = True  #: the ready line names the credential; not where it came from a file
    tells_admin_token: bool = True
    anonymous: bool = False  #: whoever reaches the pool is the tenant `default`, without a credential
    insecure: bool = False  #: listen where others can reach it without TLS or without credentials
    tls_cert: str = ""  #: PEM file of this process's certificate; empty: no TLS
    tls_key: str = ""
    tls_ca: str = ""  #: PEM file of the pool's own authority
    tls_client_auth: bool = False  #: clients show a certificate of that authority
    embedded: bool = False
    cold: bool = False  #: every server is a process started by itself, none is forked (a pool of one process)
    max_sessions: int = 1  #: sessions on a device at once, at most
    #: Warm servers kept on each device beside those that are leased. The embedded pool keeps them only while nothing is leased: a
    #: second server would start while the program computes.
    warm: int = 1
    #: What a lease that wishes no memory gets; 0: an equal part of its device, by `max_sessions`.
    session_memory_bytes: int = 0
    #: Leases that wish no memory get all of their device, and their promises are not counted: for pools of one user.
    overcommit: bool = False
    #: An endless kernel ends its server after this; 0: never. Longer than a display's watchdog, for kernels on slow devices.
    kernel_limit_ms: int = 120_000
    park_grace_ms: int = 60_000  #: how long a session without a client is kept
    start_limit_s: float = 60.0  #: a server that is not ready by then counts as failed
    lease_s: int = 60  #: a lease that nobody attaches to or renews for so long is over
    queue_places: int = 1024  #: Acquires that may wait at once, of all tenants together
    quota: Quota = Quota()  #: of tenants for whom nothing else was set
    allow_faults: bool = False  #: servers run `@fault` commands, for tests
    sandbox: str = "auto"  #: servers are confined: "auto", as far as can be; "required", wholly; "off". Embedded: not
    application_xids: tuple[
        int, ...
    ] = ()  #: GPU errors that are programs' fault; empty: `node.health.APPLICATION_XIDS`
    launch_wrapper: tuple[str, ...] = ()  #: words before a server's command line: a sandbox such as runsc
    balance: str = "none"  #: the balancer's policy until an operator chooses another; `contract.balance` has them
    balance_dry_run: bool = False  #: it decides and tells, and moves nothing
    checkpoint_folder: str = ""  #: where checkpoints with durability "file" lie; empty: there are none
    checkpoint_bytes: int = 0  #: what those of a host's sessions may take; 0: a quarter of its memory
    checkpoint_keep_s: float = 600.0  #: how long that of a session whose server was lost is kept for its client
    log_level: str = "warning"
    log_format: str = "text"  #: "text" or "json"


def is_local(address: str) -> bool:
    """Whether only this machine can reach `address`."""
    host = address.rpartition(":")[0].strip("[]")
    return address.startswith(("unix:", "unix-abstract:")) or host in ("localhost", "::1") or host.startswith("127.")
