"""Is there anything to prepare before the web server may start? Asked without Django, because Django takes a second."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

import psycopg

from config.home import ROOT

APPS = ("annotation", "reviewers", "learning")
PACKAGES_WITH_STATIC_FILES = ("django", "django-htmx")
BUILDERS = ("annotation/desk_script.py", "config/static_files.py")  # what makes files out of files
STAMP = "collected.txt"


def list_migrations() -> set[tuple[str, str]]:
    """Return app and name of every migration of this project's code."""
    return {(app, path.stem) for app in APPS for path in (ROOT / app / "migrations").glob("[0-9]*.py")}


def are_migrations_applied(conninfo: str) -> bool:
    """Say whether the database has all of them; False where it cannot be asked."""
    try:
        with psycopg.connect(conninfo, connect_timeout=5) as connection:
            applied = connection.execute("SELECT app, name FROM django_migrations").fetchall()
    except psycopg.Error:
        return False
    return list_migrations() <= {(str(app), str(name)) for app, name in applied}


def digest_static() -> str:
    """Return a digest of this project's static files and what builds some (names, sizes, times), and of the packages
    that bring others.
    """
    digest = hashlib.sha256()
    own = sorted(path for path in (ROOT / "static").rglob("*") if path.is_file())
    for path in [*own, *(ROOT / name for name in BUILDERS)]:
        status = path.stat()
        digest.update(f"{path.relative_to(ROOT)} {status.st_size} {status.st_mtime_ns}\n".encode())
    for package in PACKAGES_WITH_STATIC_FILES:
        digest.update(f"{package} {version(package)}\n".encode())
    return digest.hexdigest()


def is_static_collected(folder: Path) -> bool:
    """Say whether `folder` holds the static files as they are now."""
    stamp = folder / STAMP
    return stamp.exists() and stamp.read_text() == digest_static()


def mark_static_collected(folder: Path) -> None:
    """Note in `folder` which static files it holds."""
    (folder / STAMP).write_text(digest_static())
