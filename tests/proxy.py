"""A proxy in front of PostgreSQL, for tests that cut the connection where it hurts: at a byte, or before an answer.

The server itself goes on: what it has committed is committed, and whoever asked does not hear of it. Connect with
`sslmode=disable&gssencmode=disable`, so that every byte from the server belongs to a message.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

Direction = Literal["to server", "to client"]
READY = ord("Z")  # ReadyForQuery: the last message of every answer
CHUNK = 65536


class Answers:
    """Counts the answers in what one server sends: messages of a type byte and a length, in chunks of any size."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> int:
        """Take further bytes; return how many answers they complete."""
        self._rest += data
        n_complete = 0
        while len(self._rest) >= 5 and len(self._rest) > (length := int.from_bytes(self._rest[1:5], "big")):
            n_complete += self._rest[0] == READY
            self._rest = self._rest[1 + length :]
        return n_complete


class Cut:
    """One cut to come, wherever it is met first among all connections; counted from now on."""

    def __init__(self, direction: Direction, *, n_bytes: int | None = None, n_answers: int | None = None) -> None:
        self.direction = direction
        self.happened = threading.Event()
        self._bytes_left = n_bytes
        self._answers_left = n_answers
        self._lock = threading.Lock()

    def take(self, direction: Direction, data: bytes, n_complete: int) -> bytes | None:
        """Return how much of `data` still passes before the cut, or None where this is not the place."""
        with self._lock:
            if self.happened.is_set() or direction != self.direction:
                return None
            if self._answers_left is not None:
                if self._answers_left == 0:  # the first bytes of the answer that nobody is to hear
                    self.happened.set()
                    return b""
                self._answers_left = max(0, self._answers_left - n_complete)
            if self._bytes_left is not None:
                if len(data) > self._bytes_left:
                    self.happened.set()
                    return data[: self._bytes_left]
                self._bytes_left -= len(data)
            return None


class Proxy:
    """Passes bytes between a port of its own on 127.0.0.1 and the Unix socket of a PostgreSQL."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._is_refusing = False
        self._cut: Cut | None = None
        self._threads: list[threading.Thread] = []
        self.port = int(self._listener.getsockname()[1])
        self.n_connections = 0
        self.n_bytes: dict[Direction, int] = {"to server": 0, "to client": 0}
        self._start(self._accept)

    def get_url(self, user: str, database: str, **parameters: str) -> str:
        """Return the address of the database by way of this proxy."""
        query = urlencode({"sslmode": "disable", "gssencmode": "disable", **parameters})
        return f"postgres://{quote(user)}@127.0.0.1:{self.port}/{quote(database)}?{query}"

    def cut_before_answer(self, n_before: int) -> Cut:
        """Let `n_before` further answers of the server pass, then break the connection in place of the next one."""
        return self._arm(Cut("to client", n_answers=n_before))

    def cut_at_byte(self, direction: Direction, n_bytes: int) -> Cut:
        """Let `n_bytes` further bytes pass in a direction, then break the connection that brings the next one."""
        return self._arm(Cut(direction, n_bytes=n_bytes))

    def _arm(self, cut: Cut) -> Cut:
        self._cut = cut
        return cut

    def spare(self) -> None:
        """Forget the cut that was to come."""
        self._cut = None

    def refuse(self) -> None:
        """From now on, behave as a server that is gone: break every connection, and every new one at once."""
        self._is_refusing = True
        self.break_all()

    def accept(self) -> None:
        """End `refuse`."""
        self._is_refusing = False

    def break_all(self) -> None:
        """Break every connection that is open now."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._break(pair)

    def close(self) -> None:
        """End everything."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_all()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: object, *arguments: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                if self._is_refusing:
                    raise ConnectionRefusedError
                server.connect(str(self._target))
            except OSError:
                client.close()
                server.close()
                continue
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
                self.n_connections += 1
            self._start(self._pump, pair, client, server, "to server")
            self._start(self._pump, pair, server, client, "to client")

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket, way: Direction
    ) -> None:
        answers = Answers()
        try:
            while data := source.recv(CHUNK):
                n_complete = answers.feed(data) if way == "to client" else 0
                last = self._cut.take(way, data, n_complete) if self._cut is not None else None
                self.n_bytes[way] += len(data)
                sink.sendall(data if last is None else last)
                if last is not None:
                    break
        except OSError:
            pass
        finally:
            self._break(pair)

    def _break(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
