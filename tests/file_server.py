"""A server of files on this machine, that behaves as badly as a test wants; it remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler], None]


class FileServer(ThreadingHTTPServer):
    """Answers GET and POST with what `answers` holds for the path; 404 elsewhere.

    `asked`: each path and Host, in order; `posted`: the bodies that were sent.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.posted: list[bytes] = []

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.server_port}{path}"

    def paths(self) -> list[str]:
        return [path for path, _host in self.asked]

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, FileServer)
        server.asked.append((self.path, self.headers.get("Host", "")))
        server.headers.append(dict(self.headers))
        answer = server.answers.get(self.path.partition("?")[0], status(404))
        answer(self)

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, FileServer)
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        server.posted.append(self.body)
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def serve(certificate: Path | None = None) -> Iterator[FileServer]:
    """Run a server, over TLS where there is a certificate (with its key in the same file)."""
    with FileServer() as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def body(data: bytes, *, declared: int | None = None, **headers: str) -> Answer:
    """200 with these bytes; `declared` is the Content-Length where it lies, -1 for none."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if declared != -1:
            handler.send_header("Content-Length", str(len(data) if declared is None else declared))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def status(code: int, body: bytes = b"secret", **headers: str) -> Answer:
    """This status, with a body that nobody is to see."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def drip(n: int, seconds: float, *, in_headers: bool = False, declared: int | None = 1_000_000) -> Answer:
    """A byte of the body (or of the headers) every so often."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if not in_headers:
            if declared is not None:
                handler.send_header("Content-Length", str(declared))
            handler.end_headers()
        else:
            handler.flush_headers()
            handler.wfile.write(b"X-Slow: ")
        for _ in range(n):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(seconds)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first answer first; the last for ever."""
    left = list(answers)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer
