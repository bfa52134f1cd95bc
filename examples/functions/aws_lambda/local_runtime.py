"""AWS Lambda's Runtime API, as small as it can be, to run a function here as the platform runs it.

    PYTHONPATH=$(cupool dropin-path) python local_runtime.py app.handler event.json [event.json ...]

starts `awslambdaric` with the handler, gives it the events one after the other, and prints how long
each took and its answer. As a module: `LocalRuntime`.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/2018-06-01/runtime"


class Invocation:
    """One event on its way: `answer` is what the function returned, `error` what it raised."""

    def __init__(self, event, timeout_s):
        self.id = str(uuid.uuid4())
        self.event = event
        self.timeout_s = timeout_s
        self.given = None  # when the function took it: its time runs from there
        self.took_s = None  # from then to the answer
        self.answer = None
        self.error = None
        self.done = threading.Event()


class LocalRuntime:
    """One execution environment: the Runtime API and the process that asks it."""

    def __init__(self, handler, env=None, cwd=None):
        self._waiting = queue.Queue()
        self._running = {}
        self.init_error = None
        self.restores = 0
        runtime = self

        class Api(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path == f"{PREFIX}/restore/next":  # SnapStart: the snapshot is taken here, and at once restored
                    runtime.restores += 1
                    self._say(200, b"{}")
                    return
                invocation = runtime._waiting.get()
                if invocation is None:  # the environment is shut down
                    self.close_connection = True
                    return
                runtime._running[invocation.id] = invocation
                invocation.given = time.monotonic()
                deadline_ms = int((time.time() + invocation.timeout_s) * 1000)
                self._say(
                    200,
                    json.dumps(invocation.event).encode(),
                    {
                        "Lambda-Runtime-Aws-Request-Id": invocation.id,
                        "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
                        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:local:0:function:example",
                    },
                )

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                said = json.loads(body) if body else None
                _, _, rest = self.path.partition(f"{PREFIX}/")
                if rest == "init/error":
                    runtime.init_error = said
                else:
                    _, name, kind = rest.split("/")
                    invocation = runtime._running.pop(name)
                    if kind == "response":
                        invocation.answer = said
                    else:
                        invocation.error = said
                    invocation.took_s = time.monotonic() - invocation.given
                    invocation.done.set()
                self._say(202, b"{}")

            def _say(self, status, body, headers=None):
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                if not isinstance(sys.exception(), ConnectionError):  # the function's process ended
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", 0), Api)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        address = f"127.0.0.1:{self._server.server_address[1]}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            env={**os.environ, **(env or {}), "AWS_LAMBDA_RUNTIME_API": address, "AWS_LAMBDA_FUNCTION_NAME": "example"},
            cwd=cwd,
        )

    def start(self, event, timeout_s=30.0):
        """Give the environment an event; returns at once."""
        invocation = Invocation(event, timeout_s)
        self._waiting.put(invocation)
        return invocation

    def invoke(self, event, timeout_s=30.0):
        """Give it an event and wait. A function that takes longer is killed, as the platform does: then this raises TimeoutError."""
        invocation = self.start(event, timeout_s)
        return self.result(invocation)

    def result(self, invocation):
        """(answer, error) of an invocation; one of them is None."""
        while not invocation.done.wait(0.02):
            if self.init_error is not None or self.process.poll() is not None:
                raise RuntimeError(f"the function did not start: {self.init_error}")
            if invocation.given is not None and time.monotonic() > invocation.given + invocation.timeout_s:
                self.process.kill()
                raise TimeoutError(f"Task timed out after {invocation.timeout_s:.2f} seconds")
        return invocation.answer, invocation.error

    def close(self):
        """Shut the environment down, as the platform does with one that it does not need."""
        self.process.kill()
        self.process.wait()
        self._waiting.put(None)
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def main(arguments):
    handler, *events = arguments
    with LocalRuntime(handler, cwd=os.path.dirname(os.path.abspath(__file__))) as runtime:
        for path in events:
            with open(path) as file:
                invocation = runtime.start(json.load(file))
            answer, error = runtime.result(invocation)
            print(f"{invocation.took_s * 1000:.1f} ms {json.dumps(error or answer)[:2000]}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
