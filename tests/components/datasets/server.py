"""A web server for one test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Answers every request with the same bytes, and counts the requests.

    Attributes:
        body: The bytes that it sends.
        delay: The delay before a response, in seconds.
        status: The status code of the response.
        announced: The value of Content-Length; the length of the body if None.
        requests: The requested paths.
    """

    daemon_threads = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = body
        self.delay = 0.0
        self.status = 200
        self.announced: int | None = None
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        length = self.server.announced
        self.send_header("Content-Length", str(len(self.server.body) if length is None else length))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(body: bytes) -> Iterator[Server]:
    with Server(body) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
