"""The server's configuration: one frozen record, read once from the command line. There are no other settings."""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cupool.contract.limits import GIB
from cupool.contract.listening import Door, ListenRefused, Tls, check, host_of
from cupool.contract.logs import FORMATS
from cupool.contract.sizes import parse_size

from .moving import steps


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a session comes from another server, see `Incoming` in server.proto."""

    move: str
    endpoint: str
    token: str
    tls_name: str = ""
    limit_bytes_a_s: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """The one session of a server's life, see `AssignRequest` in server.proto."""

    session: str
    token_sha256: bytes
    epoch: int = 1
    limit_bytes: int = 0
    park_grace_s: float = 30.0
    kernel_limit_s: float = 0.0
    tenant: str = ""
    request_id: str = ""
    kernel_quota_s: float = 0.0  #: seconds of execution after which the session ends; 0: no limit
    lifetime_s: float = 0.0  #: seconds after Assign when it ends; 0: no limit
    allow_offload: bool = False  #: functions sent with cloudpickle may run in this process
    arrival: Arrival | None = None  #: it comes from another server; None: it begins here
    checkpoint: str = ""  #: file that it goes on from; empty: it begins here
    checkpoint_of: str = ""  #: the session that the file must be of


@dataclass(frozen=True, slots=True)
class Config:
    """
    Attributes:
        kind, number: the device: "cpu" or "cuda", and which.
        memory_bytes: what the device may hold; an assignment may give less.
        listen: "127.0.0.1:0" or "unix:/path" for clients.
        control: "unix:/path" for the agent; empty: no control service.
        server: this server's id.
        status_file: see `cupool.contract.statusfile`; empty: none.
        arena_base: where the arena begins; 0: the device's choice.
        orders: standard input brings `ServerCommand`s, standard output takes `ServerReport`s; else it takes a line of JSON.
        stdin_watch: end when standard input is closed: the agent is gone.
        assignment: the session given at start, for standalone use; else the agent assigns it.
        tls: the data listener's certificate; None: no TLS.
        warnings: what is to be said about the listener.
        checkpoints: where its session's checkpoints are written: "node" and "file" -> a folder of its own.
        plans: loops run by plans, see plans/.
        transport: "core": Attach streams run on grpcio's core where it is as known; "grpc": on its public API.
        fuses: chains of elementwise commands run in blocks, see `fusion/`.
        fusion_threads: threads that such chains run on; 0: as many as there are cores; 1: in the interpreter's.
        fusion_wait_s: how long the first operation of such a chain is kept for the others, see `together.py`; 0: it is not.
        waves: segments of such chains run together where they follow one another, see `fusion/waves.py`.
        reuses: results are written over operands that die right behind, see `lastuse.py`.
        cuda_moves: sessions of a GPU may be moved and saved, see `devices/cuda/state.py`.
        cuda_fusion: chains of elementwise commands on a GPU run as one kernel, see `devices/cuda/chains/`.
        cuda_graphs: loops on a GPU run as captured graphs, see `devices/cuda/graphs.py`.
        sandbox: "off"; "auto": confined as far as this kernel can; "required": wholly, or not started.
    """

    kind: str
    number: int
    memory_bytes: int
    listen: str
    control: str
    server: str
    status_file: str
    log_level: str
    log_format: str
    kernel_limit_s: float
    stdin_watch: bool
    orders: bool
    allow_faults: bool
    arena_base: int
    assignment: Assignment | None
    tls: Tls | None = None
    warnings: tuple[str, ...] = ()
    plans: bool = True
    sandbox: str = "off"
    authority: bytes = b""
    move_faults: Mapping[str, str] = field(default_factory=dict)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    transport: str = "core"
    fuses: bool = True
    fusion_threads: int = 0
    fusion_wait_s: float = 1e-4
    waves: bool = True
    reuses: bool = True
    cuda_moves: bool = False
    cuda_graphs: bool = False
    cuda_fusion: bool = False


def _device(text: str) -> tuple[str, int]:
    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda") or not (number or "0").isdigit():
        raise ValueError(f"{text!r} is not a device; write cpu:0 or cuda:0")
    return kind, int(number or 0)


def _place(text: str) -> tuple[str, Path]:
    where, _, folder = text.partition("=")
    if where not in ("node", "file") or not folder:
        raise ValueError(f"{text!r} says not where checkpoints are written; write node=/folder or file=/folder")
    return where, Path(folder)


def _threads(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no number of threads; write 0 for as many as there are cores, or 1, 2, ...")
    return int(text)


def _wait_us(text: str) -> int:
    if not text.isdecimal() or int(text) > 1_000_000:
        raise ValueError(f"{text!r} is no number of microseconds up to a second; write 100, or 0 for none")
    return int(text)


def _argument(parse: object) -> object:
    """A parser whose ValueError becomes argparse's message."""

    def checked(text: str) -> object:
        try:
            return parse(text)  # type: ignore[operator]
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


@functools.cache
def command_line() -> argparse.ArgumentParser:
    """What an API server may be told."""
    """Made once in a process, and in those that it forks: making it takes longer than reading a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cupool.apiserver",
        description="One API server: one device, one session. Started by an agent or by hand.",
    )
    parser.add_argument("--device", type=_argument(_device), default=("cpu", 0), help="cpu:N or cuda:N")  # type: ignore[arg-type]
    parser.add_argument("--memory-limit", type=_argument(parse_size), default=2 * GIB, help="2GiB")  # type: ignore[arg-type]
    parser.add_argument("--listen", default="127.0.0.1:0", help="where clients come: 127.0.0.1:0 or unix:/path")
    parser.add_argument("--control", default="", help="where the agent comes: unix:/path")
    parser.add_argument("--server-id", default="", help="name of this server in the pool")
    parser.add_argument("--status-file", default="", help="made by the agent; says what this server does")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--log-format", default="text", choices=FORMATS, help="how lines are written")
    parser.add_argument("--kernel-limit", type=float, default=0.0, help="seconds a kernel may run; 0: for ever")
    parser.add_argument("--orders", action="store_true", help="orders on standard input, reports on standard output")
    parser.add_argument("--no-stdin", action="store_true", help="go on when standard input is closed")
    parser.add_argument("--allow-faults", action="store_true", help="run @fault commands; for tests")
    parser.add_argument(
        "--no-plans",
        action="store_true",
        default=os.environ.get("CUPOOL_PLANS", "") == "0",
        help="walk loops command by command; results are the same. CUPOOL_PLANS=0 does so, too",
    )
    parser.add_argument("--arena-base", type=lambda text: int(text, 0), default=0, help="address of the arena")
    parser.add_argument("--assign", default="", metavar="SESSION:TOKEN", help="the session, for use without an agent")
    parser.add_argument("--epoch", type=int, default=1, help="the assigned session's epoch")
    parser.add_argument(
        "--allow-offload", action="store_true", help="the assigned session may send functions (cloudpickle)"
    )
    parser.add_argument("--park-grace", type=float, default=30.0, help="seconds to keep a session without a client")
    parser.add_argument(
        "--tls-cert", type=Path, help="the data listener's certificate, PEM; read again when it changes"
    )
    parser.add_argument("--tls-key", type=Path, help="its private key")
    parser.add_argument("--tls-ca", type=Path, help="the pool's authority, PEM: of servers that sessions come from")
    parser.add_argument(
        "--move-fault",
        action="append",
        default=[],
        type=_argument(steps.parse),  # type: ignore[arg-type]
        metavar="STEP:ACTION",
        help="fail at a step of a move; for tests, with --allow-faults",
    )
    parser.add_argument(
        "--checkpoints",
        action="append",
        default=[],
        type=_argument(_place),  # type: ignore[arg-type]
        metavar="WHERE=FOLDER",
        help="where checkpoints of its session are written: node=FOLDER, file=FOLDER",
    )
    parser.add_argument(
        "--fusion",
        default="off" if os.environ.get("CUPOOL_FUSION", "").lower() in ("off", "0", "no") else "on",
        choices=["on", "off"],
        help="run chains of elementwise operations in blocks; results are the same. Default: CUPOOL_FUSION, else on",
    )
    parser.add_argument(
        "--fusion-threads",
        type=_argument(_threads),  # type: ignore[arg-type]
        default=os.environ.get("CUPOOL_FUSION_THREADS") or "0",
        metavar="N",
        help="threads that such chains run on; 0: one for each core; 1: without the compiled driver. Default: CUPOOL_FUSION_THREADS or 0",
    )
    parser.add_argument(
        "--fusion-wait",
        type=_argument(_wait_us),  # type: ignore[arg-type]
        default=os.environ.get("CUPOOL_FUSION_WAIT") or "100",
        metavar="MICROSECONDS",
        help="how long a chain's first operation waits for those that would join it; 0: not at all. Default: CUPOOL_FUSION_WAIT or 100",
    )
    parser.add_argument(
        "--waves",
        default="off" if os.environ.get("CUPOOL_WAVES", "").lower() in ("off", "0", "no") else "on",
        choices=["on", "off"],
        help="run the steps of stencils and long chains together, a few blocks apart; results are the same. Default: CUPOOL_WAVES, else on",
    )
    parser.add_argument(
        "--reuse",
        default="off" if os.environ.get("CUPOOL_REUSE", "").lower() in ("off", "0", "no") else "on",
        choices=["on", "off"],
        help="write results over operands that die right behind; results are the same. Default: CUPOOL_REUSE, else on",
    )
    parser.add_argument(
        "--cuda-moves",
        default="on" if os.environ.get("CUPOOL_CUDA_MOVES", "").lower() in ("on", "1", "yes") else "off",
        choices=["on", "off"],
        help="sessions of a GPU may be moved and saved. Default: CUPOOL_CUDA_MOVES, else off",
    )
    parser.add_argument(
        "--cuda-graphs",
        default="on" if os.environ.get("CUPOOL_CUDA_GRAPHS", "").lower() in ("on", "1", "yes") else "off",
        choices=["on", "off"],
        help="loops of small operations on a GPU run as captured graphs; results are the same. Default: CUPOOL_CUDA_GRAPHS, else off",
    )
    parser.add_argument(
        "--cuda-fusion",
        default="on" if os.environ.get("CUPOOL_CUDA_FUSION", "").lower() in ("on", "1", "yes") else "off",
        choices=["on", "off"],
        help="chains of elementwise operations on a GPU run as one kernel; results are the same. Default: CUPOOL_CUDA_FUSION, else off",
    )
    parser.add_argument("--insecure", action="store_true", help="listen for other machines without TLS all the same")
    parser.add_argument(
        "--sandbox",
        default="off",
        choices=["off", "auto", "required"],
        help="confine this process; needs cupool.apiserver.sandboxed",
    )
    parser.add_argument(
        "--transport",
        default="grpc" if os.environ.get("CUPOOL_TRANSPORT") == "grpc" else "core",
        choices=["core", "grpc"],
        help="how command streams travel: on grpcio's core, or through its public API; CUPOOL_TRANSPORT sets the default",
    )
    return parser


def parse(argv: list[str] | None = None) -> Config:
    """The configuration of a command line. Exits with a message when it cannot be."""
    parser = command_line()
    args = parser.parse_args(argv)
    return Config(
        kind=args.device[0], number=args.device[1], memory_bytes=args.memory_limit, listen=args.listen, control=args.control,
        server=args.server_id or f"server-{uuid.uuid4().hex[:8]}", status_file=args.status_file, log_level=args.log_level,
        log_format=args.log_format,
        kernel_limit_s=args.kernel_limit, stdin_watch=not args.no_stdin, orders=args.orders,
        allow_faults=args.allow_faults, arena_base=args.arena_base,
        assignment=_assignment(parser, args), tls=_tls(parser, args), warnings=_judged(parser, args), sandbox=args.sandbox,
        authority=_authority(parser, args), move_faults=steps.wanted(args.move_fault) if args.allow_faults else {},
        checkpoints=dict(args.checkpoints), plans=not args.no_plans, transport=args.transport,
        fuses=args.fusion == "on", fusion_threads=args.fusion_threads, fusion_wait_s=args.fusion_wait / 1e6,
        waves=args.waves == "on", reuses=args.reuse == "on",
        cuda_moves=args.cuda_moves == "on", cuda_graphs=args.cuda_graphs == "on",
        cuda_fusion=args.cuda_fusion == "on",
    )  # fmt: skip


def _tls(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Tls | None:
    if (args.tls_cert is None) != (args.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    return None if args.tls_cert is None else Tls(args.tls_cert, args.tls_key)


def _authority(parser: argparse.ArgumentParser, args: argparse.Namespace) -> bytes:
    """Read now: a confined server does not see the file."""
    if args.tls_ca is None:
        return b""
    try:
        return bytes(args.tls_ca.read_bytes())
    except OSError as error:
        parser.error(f"--tls-ca {args.tls_ca}: {error.strerror}")


def _judged(parser: argparse.ArgumentParser, args: argparse.Namespace) -> tuple[str, ...]:
    """What is to be said about the listeners. Ends with a message when they may not be. A session has its token: a credential."""
    try:
        if args.control and host_of(args.control):
            parser.error(f"--control {args.control}: the agent comes over a unix socket. Write unix:/path.")
        return check([Door("clients", args.listen, _tls(parser, args))], args.insecure).warnings
    except ListenRefused as error:
        parser.error(str(error))


def _assignment(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Assignment | None:
    if not args.assign:
        return None
    session, separator, token = args.assign.partition(":")
    if not (session and separator and token):
        parser.error("--assign takes SESSION:TOKEN")
    digest = hashlib.sha256(token.encode()).digest()
    return Assignment(
        session,
        digest,
        args.epoch,
        args.memory_limit,
        args.park_grace,
        args.kernel_limit,
        allow_offload=args.allow_offload,
    )
