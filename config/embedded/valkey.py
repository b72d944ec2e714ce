"""An embedded Valkey: the broker, on a Unix socket, with its queue on disk."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from config.embedded.binaries import find_valkey
from config.embedded.processes import ChildSpec

SOCKET_NAME = "valkey.sock"


def answers_ping(socket_path: Path) -> bool:
    """Say whether a server behind `socket_path` answers PING within half a second."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(0.5)
        try:
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def make_spec(home: Path, socket_folder: Path) -> ChildSpec:
    """Return how Valkey is run for `home`. Raises EmbeddedError where there is no Valkey."""
    data = home / "valkey"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket_path = socket_folder / SOCKET_NAME
    settings = {
        "--port": "0",
        "--unixsocket": str(socket_path),
        "--unixsocketperm": "700",
        "--dir": str(data),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
        "--logfile": "",
        "--loglevel": "notice",
        "--databases": "1",
    }
    command = [find_valkey(), *(part for pair in settings.items() for part in pair)]

    def clear_socket() -> None:
        socket_path.unlink(missing_ok=True)  # left by a killed server; a new one would not bind over it

    return ChildSpec(
        name="valkey",
        command=command,
        log=home / "logs" / "valkey.log",
        environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        stop_signals=((signal.SIGTERM, 1.5),),
        death_signal=signal.SIGTERM,
        before_start=clear_socket,
        is_ready=lambda: answers_ping(socket_path),
    )
