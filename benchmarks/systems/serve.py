"""`python serve.py rpyc|ray`: the server of a peer. Prints its address, ends with its standard input."""

from __future__ import annotations

import os
import sys
import threading


def rpyc() -> str:
    from rpyc.core import SlaveService
    from rpyc.utils.server import ThreadedServer

    server = ThreadedServer(SlaveService, hostname="127.0.0.1", port=0)
    threading.Thread(target=server.start, daemon=True).start()
    return f"127.0.0.1:{server.port}"


def ray() -> str:
    import ray

    # One worker, as a session has one server. Its output would be the client's.
    context = ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    return str(context.address_info["gcs_address"])


if __name__ == "__main__":
    print({"rpyc": rpyc, "ray": ray}[sys.argv[1]](), flush=True)
    sys.stdin.read()
    if sys.argv[1] == "ray":
        import ray as running

        running.shutdown()
    os._exit(0)
