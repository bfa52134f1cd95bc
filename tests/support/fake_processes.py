"""Processes as a pool's supervisor starts them, without a pool: `fake_processes.py controller|agent --record FILE`,
`balancer --token-file FILE`, and `supervise FOLDER`.

The controller serves FakeAdmin. Files in the pool's folder steer them: `refuse-NAME` (it says that it cannot start), `silent-NAME` (it ends
at once, without a word), `stubborn-NAME` (it does not end when told to), `starts-NAME` counts its starts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path


def main() -> int:
    role = sys.argv[1]
    if role == "supervise":
        return supervise(Path(sys.argv[2]))
    file = Path(sys.argv[sys.argv.index("--token-file" if role == "balancer" else "--record") + 1])
    record = {} if role == "balancer" else json.loads(file.read_text())
    folder = file.parent
    with open(folder / f"starts-{role}", "a") as file:
        file.write(f"{os.getpid()}\n")
    if (folder / f"silent-{role}").exists():
        print("its last words", file=sys.stderr)
        return 3
    if (folder / f"refuse-{role}").exists():
        print(json.dumps({"error": "It does not like this host.", "cure": "Take another."}), flush=True)
        return 2
    told = threading.Event()
    if not (folder / f"stubborn-{role}").exists():
        signal.signal(signal.SIGTERM, lambda *_: told.set())
    else:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if role == "agent":
        child = os.fork()  # a server, in the agent's environment
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pause()
        print(json.dumps({"node": record["node"]}), flush=True)
        while not told.wait(0.2):
            pass
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        return 0
    if role == "balancer":
        print(json.dumps({"ready": True}), flush=True)
        while not told.wait(0.2):
            pass
        return 0
    import fake_admin

    with fake_admin.serving(Path(record["admin_listen"].removeprefix("unix:")).parent) as (fake, addr):
        fake_admin.TOKENS["admin"] = record["admin_token"]
        print(json.dumps({"addr": record["listen"], "admin": addr, "agent": record["agent_listen"]}), flush=True)
        while not told.wait(0.05):
            if fake.stopped.is_set():
                break
        if fake.stopped.is_set():
            (folder / "shutdowns").touch()
    return 0


def supervise(folder: Path) -> int:
    """A supervisor of fakes; prints a line when they are ready, or why they are not."""
    from cupool.pool import belongings, settings, supervisor
    from cupool.pool.cli import up

    commands = {name: [sys.executable, "-P", __file__, name] for name in ("controller", "agent", "balancer")}
    held = belongings.lock(folder)
    found = settings.load(flags={"pool.devices": "cpu:1:1GiB", "pool.folder": str(folder)}, environment={})
    controller, agent = up.prepare(found, folder)
    watched = supervisor.Supervisor(folder, controller, agent, stop_grace_s=5.0, commands=commands)
    try:
        watched.run(lambda running: print(json.dumps({"ready": running.controller_pid}), flush=True))
    except supervisor.CannotStart as error:
        print(json.dumps({"error": error.what, "cure": error.cure}), flush=True)
        return 1
    finally:
        os.close(held)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
