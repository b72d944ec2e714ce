"""An installation of its own for a benchmark: `touchstone up` in a temporary home, with people, projects and items.

Items come in through the import's own functions, so that the rows are those of a real import whatever the tables are.
`--home FOLDER` keeps a filled installation for the next run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.measuring import Parts, read_tree, say
from config.embedded.postgres import DATABASE, Postgres
from config.home import get_socket_folder
from config.roles import WEB_THREADS, count_web_workers
from tests.installation import Installation, find_processes

if TYPE_CHECKING:
    from annotation.models import Project, User

SCHEMA: dict[str, Any] = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "text": "Which policy does it break?",
            "required": True,
            "choices": [{"value": "none", "key": "1"}, {"value": "spam", "key": "2"}, {"value": "insult", "key": "3"}],
        }
    ]
}
WORDS = (
    "the seller posted the same link again after the moderator had removed it and nobody answered my report about "
    "the login page that asks for a password and shows pictures of the dog"
)
FLUSH_SECONDS = 11.0  # a process of PostgreSQL that has gone idle tells its last counts within ten seconds


def make_text(n: int) -> str:
    """A text of about 200 bytes, different for each number."""
    return f"[{n}] {WORDS} {n % 97} times"


class Site:
    """A running installation. Django in this process works on its database, so import models inside functions."""

    def __init__(self, home: Path, web_workers: int, web_threads: int, **settings: str) -> None:
        self.home = home
        self.web_workers, self.web_threads = web_workers, web_threads
        chosen = {"WEB_WORKERS": str(web_workers), "WEB_THREADS": str(web_threads), "LOG_LEVEL": "WARNING", **settings}
        self.installation = Installation(home, None, **chosen)
        self.installation.wait_until_ready(120)
        self.port = self.installation.port
        self._postgres = Postgres(home, get_socket_folder(home))
        self.parts = Parts(
            web=self.installation.find("-m", "granian")[0],
            postgres=int((self._postgres.data / "postmaster.pid").read_text().splitlines()[0]),
            worker=self.installation.find("-m", "celery", "worker")[0],
            beat=self.installation.find("-m", "celery", "beat")[0],
        )

    @property
    def server(self) -> dict[str, Any]:
        """What ran: PostgreSQL's version, and the processes and threads of the web server."""
        with self.connect() as connection:
            row = connection.execute("select version()").fetchone()
        version = str(row[0]).split(" on ")[0] if row else "unknown"
        return {"postgres": version, "web_workers": self.web_workers, "web_threads": self.web_threads}

    def get_program(self, name: str) -> str:
        """The path of one of PostgreSQL's programs, of the server's own version where it has it."""
        own = self._postgres.binaries.get(name)
        found = own if os.access(own, os.X_OK) else shutil.which(name)
        assert found, f"{name} is not installed"
        return found

    @property
    def socket_folder(self) -> Path:
        return self._postgres.socket_folder

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection to the installation's database, in autocommit mode, as its superuser."""
        return self._postgres.connect(DATABASE)

    def set_server(self, name: str, value: str) -> None:
        """Set a setting of PostgreSQL for all its processes, from now on."""
        with self.connect() as connection:
            connection.execute(f"alter system set {name} = '{value}'")
            connection.execute("select pg_reload_conf()")

    def settle_down(self) -> None:
        """Vacuum, analyse and write a checkpoint, so that no phase pays for what the one before it left."""
        with self.connect() as connection:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")

    def end(self) -> None:
        """Stop everything, in order where it can be."""
        self.installation.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.installation.process.wait(30)
        self.installation.end()
        deadline = time.monotonic() + 120  # the last checkpoint may be a large one
        # the benchmark's own helpers know of the home, too, and so does what started it (`timeout`, a shell)
        own = read_tree(os.getpid()).keys() | {os.getppid()}
        while left := find_processes(self.home).keys() - own:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


@contextlib.contextmanager
def open_site(args: argparse.Namespace, **settings: str) -> Iterator[Site]:
    """Start an installation as the command line says (see `add_options`), and take it away again."""
    home = Path(args.home).absolute() if args.home else Path(tempfile.mkdtemp(prefix="touchstone-bench-"))
    home.mkdir(parents=True, exist_ok=True)
    os.environ["TOUCHSTONE_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    for name in ("DATABASE_URL", "BROKER_URL"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))  # so that what was started is stopped
    try:
        site = Site(home, args.web_workers, args.web_threads, **settings)
        try:
            import django

            django.setup()
            yield site
        finally:
            site.end()
    finally:
        if not args.home:
            shutil.rmtree(home, ignore_errors=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every benchmark with an installation of its own has."""
    parser.add_argument("--out", type=Path, help="append each result to this file, too")
    parser.add_argument("--home", help="keep the installation here and use it again; default: a temporary one")
    add_server_options(parser)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """The options of the web server that is measured; as an installation has them by default."""
    parser.add_argument("--web-workers", type=int, default=count_web_workers())
    parser.add_argument("--web-threads", type=int, default=WEB_THREADS)


# --- People, projects, items -----------------------------------------------------------------------------------------


def make_people(n: int, name: str = "labeller") -> list[tuple[User, str]]:
    """`n` users with a fresh API token each; the ones of an earlier run are used again. Their ids ascend."""
    from annotation.actions.people import create_token, create_user
    from annotation.models import User

    people = []
    for number in range(n):
        username = f"{name}-{number}"
        user = User.objects.filter(username=username).first() or create_user(username=username)
        people.append((user, create_token(user=user, actor=user)[1]))
    return people


def make_project(slug: str, people: list[User], items: int, overlap: int = 1, **settings: Any) -> Project:
    """A project with these annotators and `items` imported items. No rounds start by themselves, no holdout share.

    `settings`: further ones, as `create_project` takes them.

    A project of this name that is there already is taken as it is.
    """
    from annotation.actions.projects import create_project, set_member
    from annotation.models import Project, User

    owner = User.objects.get(username="owner") if User.objects.filter(username="owner").exists() else make_owner()
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        project = create_project(
            slug=slug,
            name=slug,
            schema=SCHEMA,
            settings={
                "overlap": overlap,
                "lease_seconds": 3600,
                "learning": {"holdout_share": 0, "every": None},
                **settings,
            },
            owner=owner,
        )
        import_items(project, items)
    for user in people:
        set_member(project=project, user=user, role="annotator", actor=owner)
    return project


def make_owner() -> User:
    """The one who owns the benchmark's projects."""
    from annotation.actions.people import create_user

    return create_user(username="owner")


def import_items(project: Project, n: int, start: int = 0) -> None:
    """Import `n` short texts, numbered from `start`, through the import's own functions."""
    from annotation.actions.imports import load_items
    from annotation.importing.rows import ItemRow, PartRow

    def read() -> Iterator[tuple[int, ItemRow]]:
        for number in range(start, start + n):
            part = PartRow(name="text", kind="text", role="target", text=make_text(number))
            yield number + 1, ItemRow(external_id=f"item-{number:08d}", group=None, parts=(part,))

    started = time.monotonic()
    outcome, is_stored = load_items(project=project, read=read, actor=None)
    assert is_stored, outcome
    assert outcome.imported == n, outcome
    if n >= 100_000:
        say(f"{n:,} items imported into {project.slug} in {time.monotonic() - started:.0f} s")


def check_audit() -> None:
    """Fail where an invariant of the queue is broken: a figure of a broken queue is worth nothing."""
    from annotation.audit import find_violations

    broken = find_violations()
    assert not broken, broken
