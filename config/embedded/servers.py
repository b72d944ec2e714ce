"""Open the servers of a home: start them as its owner, or share those that another process runs there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from config.embedded import valkey
from config.embedded.errors import EmbeddedError
from config.embedded.ownership import Ownership
from config.embedded.postgres import DATABASE, PORT, USER, Postgres, get_fallback_uid
from config.embedded.processes import Supervisor
from config.home import get_socket_folder, make_private_folder

START_SECONDS = 60.0
RECOVERY_SECONDS = 600.0  # after a crash PostgreSQL replays its log first, which may take minutes


class Servers:
    """The PostgreSQL and the Valkey of `home`, as far as outside ones are not wanted instead.

    The first process to open a home owns its servers; others share them, and one of them takes over when the owner
    ends. `supervisor` is open to whoever wants further children; they stop before the servers do.
    """

    def __init__(
        self,
        home: Path,
        *,
        with_postgres: bool = True,
        with_valkey: bool = True,
        is_throwaway: bool = False,
        on_event: Callable[[str], None] = lambda _text: None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.socket_folder = make_private_folder(get_socket_folder(home), also_owned_by=get_fallback_uid())
        self._on_event = on_event
        self._ownership = Ownership(home / "owner.lock")
        self._with_valkey = with_valkey
        self._with_postgres = with_postgres
        self._is_throwaway = is_throwaway
        self._is_open = False
        self.supervisor = Supervisor(on_event=on_event, tick=self._watch_owner)

    @property
    def is_owner(self) -> bool:
        """Whether this process runs the servers, rather than shares another's."""
        return self._ownership.is_held

    def open(self) -> None:
        """Return when the servers answer and the database exists. Raises EmbeddedError where they cannot."""
        if not self._with_postgres and not self._with_valkey:
            return
        deadline = time.monotonic() + START_SECONDS
        while not self._ownership.acquire():
            if self._is_shared_ready():
                break
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Another process runs the servers of {self.home}, and they do not answer. "
                    f"Look into {self.home / 'logs'}."
                )
            time.sleep(0.05)
        else:
            self._start()
        self._is_open = True

    def get_conninfo(self) -> str:
        """Return how libpq reaches the project's database on the embedded server."""
        return make_conninfo(host=str(self.socket_folder), port=PORT, user=USER, dbname=DATABASE)

    def close(self) -> None:
        """Stop every child of the supervisor, the servers last, then let go of the home."""
        self._is_open = False
        self.supervisor.stop()
        self._ownership.release()

    def _start(self) -> None:
        postgres = broker = None
        if self._with_postgres:
            postgres = Postgres(self.home, self.socket_folder, is_throwaway=self._is_throwaway)
            postgres.make_data()
            database = self.supervisor.add(postgres.make_spec())
        if self._with_valkey:
            broker = self.supervisor.add(valkey.make_spec(self.home, self.socket_folder))
        if postgres is not None:
            self.supervisor.wait_ready(database, seconds=RECOVERY_SECONDS)
            postgres.make_database()
        if broker is not None:
            self.supervisor.wait_ready(broker, seconds=START_SECONDS)

    def _is_shared_ready(self) -> bool:
        if self._with_valkey and not valkey.answers_ping(self.socket_folder / valkey.SOCKET_NAME):
            return False
        if not self._with_postgres:
            return True
        try:
            psycopg.connect(self.get_conninfo(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _watch_owner(self) -> None:
        """On the supervisor's thread: become the owner where the last one has ended."""
        if not self._is_open or self._ownership.is_held or not self._ownership.acquire():
            return
        self._on_event("the process that ran the servers has ended; this one runs them now")
        if self._with_postgres:
            self.supervisor.add(Postgres(self.home, self.socket_folder, is_throwaway=self._is_throwaway).make_spec())
        if self._with_valkey:
            self.supervisor.add(valkey.make_spec(self.home, self.socket_folder))


@contextmanager
def open_servers(
    home: Path, *, is_throwaway: bool = False, on_event: Callable[[str], None] = lambda _text: None
) -> Iterator[Servers]:
    """Have the servers of `home` for the duration of a `with` block.

    `DATABASE_URL` and `BROKER_URL` in the environment stand for outside servers: no embedded one is started then.
    Raises EmbeddedError or HomeError where they cannot be had.
    """
    servers = Servers(
        home,
        with_postgres=not os.environ.get("DATABASE_URL"),
        with_valkey=not os.environ.get("BROKER_URL"),
        is_throwaway=is_throwaway,
        on_event=on_event,
    )
    try:
        servers.open()
        yield servers
    finally:
        servers.close()
