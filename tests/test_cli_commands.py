"""The commands, as far as they need no running installation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from psycopg.conninfo import make_conninfo

from config import freshness
from config.home import ROOT, fix_home, get_home
from config.roles import get_reachable_host, make_command
from manage import needs_servers


def run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    """Run `command` on an installation in `home` and return what it said."""
    environment = {**os.environ, "TOUCHSTONE_HOME": str(home), "DJANGO_SETTINGS_MODULE": "config.settings"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("command", [["-m", "config.cli", "--help"], ["manage.py", "--help"]])
def test_help_starts_no_server(tmp_path: Path, command: list[str]) -> None:
    answer = run([sys.executable, *command], tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert list(tmp_path.glob("pg*")) == []


def test_pull_needs_neither_django_nor_a_database_driver(tmp_path: Path) -> None:
    program = """
import sys
from config.cli import main
try:
    main(["pull", "--help"])
except SystemExit as end:
    assert end.code == 0, end.code
print(*sorted({"django", "psycopg", "celery"} & set(sys.modules)), sep=",")
"""
    answer = run([sys.executable, "-c", program], tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == ""
    assert list(tmp_path.iterdir()) == []


def test_fault_that_a_person_can_mend_is_one_sentence(tmp_path: Path) -> None:
    answer = run([sys.executable, "-m", "config.cli", "restore", str(tmp_path / "absent.tar")], tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == f"touchstone: {tmp_path / 'absent.tar'} is not there.\n"


def test_models_and_migrations_agree(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_relative_home_is_the_same_folder_for_children_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOUCHSTONE_HOME", "data")
    assert fix_home() == tmp_path / "data"
    monkeypatch.chdir("/")
    assert get_home() == tmp_path / "data"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], False),
        (["--help"], False),
        (["help", "migrate"], False),
        (["migrate", "--help"], False),
        (["migrate"], True),
    ],
)
def test_only_commands_that_ask_the_database_start_servers(arguments: list[str], expected: bool) -> None:
    assert needs_servers(arguments) is expected


@pytest.mark.parametrize(
    ("host", "expected"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("example.org", "example.org")]
)
def test_printed_address_can_be_opened(host: str, expected: str) -> None:
    assert get_reachable_host(host) == expected


def test_roles_are_commands_of_this_environment() -> None:
    assert [make_command(role)[:3] for role in ("web", "worker", "beat")] == [
        [sys.executable, "-m", "granian"],
        [sys.executable, "-m", "celery"],
        [sys.executable, "-m", "celery"],
    ]


def test_code_with_a_migration_that_the_database_lacks_is_not_fresh(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    conninfo = make_conninfo(**{name: str(parameters[name]) for name in names if parameters.get(name)})
    assert freshness.are_migrations_applied(conninfo)
    known = freshness.list_migrations()
    monkeypatch.setattr(freshness, "list_migrations", lambda: known | {("annotation", "9999_new")})
    assert not freshness.are_migrations_applied(conninfo)
    assert not freshness.are_migrations_applied("host=/nowhere")


def test_changed_static_file_is_collected_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "ROOT", tmp_path)
    collected = tmp_path / "collected"
    changed = [tmp_path / "static" / "new.css", *(tmp_path / name for name in freshness.BUILDERS)]
    for path in [collected / "old.css", *changed[1:]]:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (tmp_path / "static").mkdir()
    for path in changed:
        assert not freshness.is_static_collected(collected)
        freshness.mark_static_collected(collected)
        assert freshness.is_static_collected(collected)
        path.write_text("p {}")
    assert not freshness.is_static_collected(collected)
