"""`python -m cupool.apiserver.zygote`: a process that has imported all that a server imports, and forks servers when it is asked.

It has one thread, no sockets but the agent's, and never touches a device. A server that it forks is a process as any other: standard
streams, process group and environment of its own, its parent is the agent (which adopts orphans), and it dies with the agent.

The agent sends a JSON list, the server's command line, with three descriptors: orders, reports, standard error. The answer is
{"pid": PID}. The first message is the zygote's: {"ready": true}.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import gc
import importlib
import json
import os
import socket
import sys
import time
import traceback
from typing import NoReturn

from . import title

#: What a server of each kind imports while it starts, beyond what `__main__` does.
MODULES = {
    "cpu": ("cupool.apiserver.devices.cpu.device", "cupool.apiserver.devices.cpu.kernels"),
    "cuda": ("cupool.apiserver.devices.cuda.device",),
}
LARGEST_BYTES = 64 << 10
#: How the command line of a server begins that was started by itself.
_WORDS = (sys.executable, "-P", "-m", "cupool.apiserver")
#: How long a fresh server waits to become the agent's child.
_ADOPTION_S = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cupool.apiserver.zygote")
    parser.add_argument("--socket", type=int, required=True, help="descriptor of the socket to the agent")
    parser.add_argument("--kinds", default="cpu", help="kinds of devices, with commas")
    parser.add_argument("--room", default="", help="as many bytes as a server's command line may take, see `title`")
    options = parser.parse_args()
    agent = os.getppid()
    title.show([*_WORDS[:-1], "cupool.apiserver.zygote"])
    load(options.kinds.split(","))
    gc.collect()
    gc.freeze()  # a collection in a server would touch, and so copy, what it shares with all others
    # Where the agent has ended meanwhile there is nobody to tell that.
    with socket.socket(fileno=options.socket) as channel, contextlib.suppress(ConnectionError):
        channel.send(json.dumps({"ready": True}).encode())
        serve(channel, agent)
    return 0


def load(kinds: list[str]) -> None:
    """Import what servers of these kinds need. A kind that cannot be had is left out: its servers say why when they start."""
    from . import __main__, config, service

    for kind in kinds:
        try:
            for module in MODULES[kind]:
                importlib.import_module(module)
        except ImportError as error:
            print(f"cupool.apiserver.zygote: {kind}: {error}", file=sys.stderr)
    config.parse([])
    service.prepare(kinds)
    assert __main__.main is not None


def serve(channel: socket.socket, agent: int) -> None:
    """Fork what is asked for until the agent is gone."""
    while True:
        data, ancillary, _, _ = channel.recvmsg(LARGEST_BYTES, socket.CMSG_SPACE(3 * array.array("i").itemsize))
        if not data:
            return
        ends = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                ends.frombytes(content[: len(content) - len(content) % ends.itemsize])
        between = os.fork()
        if not between:
            _between(channel, json.loads(data), list(ends), agent)
        for descriptor in ends:
            os.close(descriptor)
        os.waitpid(between, 0)


def _between(channel: socket.socket, arguments: list[str], ends: list[int], agent: int) -> NoReturn:
    """In a process that only forks the server and ends, so that the server becomes the agent's child."""
    server = os.fork()
    if server:
        with contextlib.suppress(OSError):  # the agent is gone, and the server ends with it
            channel.send(json.dumps({"pid": server}).encode())
        os._exit(0)
    try:
        channel.close()
        code = _become(arguments, ends, agent)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _become(arguments: list[str], ends: list[int], agent: int) -> int:
    """The server."""
    from . import __main__, config

    if len(ends) != 3:
        raise OSError(f"{len(ends)} descriptors came with a command line, not 3")
    for target, descriptor in zip((0, 1, 2), ends, strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.setpgid(0, 0)
    _die_with(agent)
    title.show([*_WORDS, *arguments])
    sys.argv = ["cupool.apiserver", *arguments]
    code = __main__.main(config.parse(arguments))
    __main__.finish()
    return code


def _die_with(agent: int) -> None:
    """The kernel ends this process with its parent, which is the agent once the process between has ended."""
    import ctypes
    import signal

    deadline = time.monotonic() + _ADOPTION_S
    while os.getppid() != agent:
        if time.monotonic() > deadline:
            raise OSError("the agent has not become this server's parent; is it gone?")
        time.sleep(0.0005)
    if ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0):
        raise OSError("this server cannot be tied to its agent")
    if os.getppid() != agent:
        raise OSError("the agent is gone")


if __name__ == "__main__":
    raise SystemExit(main())
