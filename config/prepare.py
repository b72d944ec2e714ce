"""Bring the database and the static files up to date; the last line printed is what `touchstone up` wants to know.

Run as `python -m config.prepare`, in a process of its own so that the supervisor stays free of Django. Quick where
nothing is to be done.
"""

from __future__ import annotations

import json
import os
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.freshness import is_static_collected, mark_static_collected

# Any number, as long as every host that prepares the same database uses this one.
PREPARE_LOCK = 0x746F7563

IGNORED_STATIC = ["rest_framework", "admin"]  # the pages of packages that this project does not show


def migrate_database() -> bool:
    """Apply the migrations that are missing; return whether there were any. Two hosts at once take turns."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [PREPARE_LOCK])
        try:
            executor = MigrationExecutor(connection)
            is_outdated = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
            if is_outdated:
                call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [PREPARE_LOCK])
    return is_outdated


def collect_static() -> bool:
    """Collect the static files unless they are as they were; return whether it was needed."""
    if is_static_collected(settings.STATIC_ROOT):
        return False
    call_command("collectstatic", verbosity=0, interactive=False, clear=True, ignore_patterns=IGNORED_STATIC)
    mark_static_collected(settings.STATIC_ROOT)
    return True


def make_folders() -> None:
    """Make the folders that the settings name, open to this user alone."""
    files = (settings.MEDIA_DIR, settings.SNAPSHOT_DIR, settings.MODEL_DIR, settings.FEATURE_DIR, settings.UPLOAD_DIR)
    for folder in files:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_owner_link() -> str | None:
    """Return the token of a new one-time link, or None where an owner exists already."""
    from django.contrib.auth import get_user_model

    if get_user_model()._default_manager.filter(is_superuser=True, is_active=True).exists():
        return None
    from annotation.actions.people import create_setup_link

    return create_setup_link()


def main(arguments: list[str]) -> None:
    """Prepare everything and print `{"migrated", "setup_token"}` as the last line; given "static", only the files."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    make_folders()
    collect_static()
    if arguments == ["static"]:
        return
    is_migrated = migrate_database()
    json.dump({"migrated": is_migrated, "setup_token": make_owner_link()}, sys.stdout)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
