"""`python -m cupool.balancer`: the balancer of one pool, beside its controller.

Prints one JSON line on its standard output when it has begun: {"ready": true}. SIGTERM and SIGINT end it with status 0;
SIGUSR1 has it decide now. It waits for a controller that is not there, and for another balancer of the same pool to go.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from cupool.contract import logs, signals
from cupool.v1 import admin_pb2_grpc

from .driver import Driver
from .monitor import INTERVAL_S

_log = logging.getLogger(__name__)

_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.use_local_subchannel_pool", 1),
    # A controller that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m cupool.balancer", description="Decides which sessions move where.")
    result.add_argument("--controller", required=True, help="its AdminService: host:port or unix:/path")
    result.add_argument(
        "--token-file", type=Path, help="file with a credential of the role balancer [CUPOOL_ADMIN_TOKEN holds one]"
    )
    result.add_argument("--ca", type=Path, help="PEM file of the pool's authority, for TLS")
    result.add_argument("--cert", type=Path, help="PEM file of our own certificate, where the pool asks for one")
    result.add_argument("--key", type=Path, help="PEM file of its key")
    result.add_argument("--interval-s", type=float, default=INTERVAL_S, help=f"between two snapshots; {INTERVAL_S}")
    result.add_argument("--dry-run", action="store_true", help="decide and tell, and move nothing")
    result.add_argument(
        "--once", action="store_true", help="decide once, print the decision as JSON, move nothing, and end"
    )
    result.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    result.add_argument("--log-format", choices=["text", "json"], default="text")
    return result


def channel(options: argparse.Namespace) -> grpc.Channel:
    """Raises OSError: a file cannot be read."""
    if options.ca is None or options.controller.startswith("unix"):
        return grpc.insecure_channel(options.controller, options=_OPTIONS)
    pems = [file.read_bytes() if file is not None else None for file in (options.ca, options.key, options.cert)]
    return grpc.secure_channel(options.controller, grpc.ssl_channel_credentials(*pems), options=_OPTIONS)


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    logs.configure("balancer", options.log_level, options.log_format)
    if not options.interval_s > 0.0:
        return _fail(f"--interval-s is {options.interval_s}.", "Write a positive number of seconds.")
    try:
        token = os.environ.get("CUPOOL_ADMIN_TOKEN", "")
        if options.token_file is not None:
            token = options.token_file.read_text(encoding="utf-8").strip()
        opened = channel(options)
    except (OSError, UnicodeDecodeError) as error:
        return _fail(str(error), "Name a file that can be read.")
    stub: Any = admin_pb2_grpc.AdminServiceStub(opened)
    name = f"balancer-{secrets.token_hex(4)}"
    driver = Driver(stub, token, name, time.monotonic, options.interval_s, options.dry_run or options.once)
    with opened:
        return _once(driver) if options.once else _serve(driver)


def _once(driver: Driver) -> int:
    try:
        decision = driver.once()
    except (grpc.RpcError, ValueError) as error:
        what = error.details() if isinstance(error, grpc.RpcError) else str(error)
        return _fail(f"No snapshot: {what}", "Is the pool running, and the credential one of its own?")
    moves = [
        {f: getattr(m, f) for f in ("session", "source", "destination", "reason", "gain_s", "cost_s")}
        for m in decision.moves
    ]
    print(json.dumps({"policy": decision.policy, "moves": moves, "reasons": list(decision.reasons)}), flush=True)
    return 0


def _serve(driver: Driver) -> int:
    def told(number: int) -> None:
        driver.now() if number == signal.SIGUSR1 else driver.end()

    signals.hear(told, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    print(json.dumps({"ready": True}), flush=True)
    driver.run()
    _log.info("event=ended")
    return 0


def _fail(error: str, cure: str) -> int:
    print(json.dumps({"error": error, "cure": cure}), flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
