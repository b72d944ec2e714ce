"""What one transaction at a time may do in a project, where no row stands for it that could be locked."""

from __future__ import annotations

from django.db import connection

from annotation.models import Project


def lock_project(project: Project, name: str, *, is_shared: bool = False) -> None:
    """Wait for a project's advisory lock of this name; it is held until the caller's transaction ends.

    Shared, it only keeps off those who take it for themselves.
    """
    take = "pg_advisory_xact_lock_shared" if is_shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"select {take}(hashtext(%s), %s::int)", [name, project.pk])
