"""A server as Knative and Cloud Run start it: HTTP on $PORT, several requests at once. Scales an image down to a thumbnail.

POST /?height=64 with the bytes of an .npy file (height x width x channels, uint8) -> the thumbnail in the same format.
GET /healthz -> ok
"""

import io
import os
import signal
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cupy as cp
import numpy as np
from cupyx.scipy import ndimage


def thumbnail(image, height):
    """The image at another height, smoothed first so that it does not alias. (h, w, c) uint8 -> (height, w', c) uint8."""
    factor = height / image.shape[0]
    smooth = ndimage.gaussian_filter(image.astype(cp.float32), (0.5 / factor, 0.5 / factor, 0))
    small = ndimage.zoom(smooth, (factor, factor, 1), order=1)
    return cp.clip(cp.rint(small), 0, 255).astype(cp.uint8)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"ok\n")

    def do_POST(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if not body.startswith(b"\x93NUMPY"):
                raise ValueError("the body is no .npy file")
            image = np.load(io.BytesIO(body), allow_pickle=False)
            height = int(query.get("height", ["64"])[0])
            if image.ndim != 3 or image.dtype != np.uint8 or not 0 < height <= image.shape[0]:
                raise ValueError(f"an image of shape {image.shape} and {image.dtype} cannot become {height} high")
        except ValueError as error:
            self.answer(400, f"{error}\n".encode())
            return
        file = io.BytesIO()
        np.save(file, thumbnail(cp.asarray(image), height).get())
        self.answer(200, file.getvalue(), "application/octet-stream")

    def answer(self, status, body, kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Handler)
    # The platform stops an instance with SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
