"""`flush`, which ends every test that really commits, in the place of Django's: it deletes what stands in the tables.

Django's makes every table anew with all its indexes, and then permissions and content types, which nothing here reads.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.apps import apps
from django.core.management.commands import flush
from django.db import connection, transaction

from tests.cast import put_organisation_back

KEPT = {"auth_permission", "django_content_type"}
MUCH_BYTES = 2_000_000  # a table that has grown so far is better made anew
IS_SMALL = """
    select current_setting('is_superuser')::bool and max(pg_relation_size(name::regclass)) < %s
    from unnest(%s::text[]) as name
"""
# The lock waits for whoever still writes, as a TRUNCATE would. In a replica neither foreign keys speak up nor the
# triggers that keep answers from being deleted; only a superuser may play one.
EMPTY = """
    lock table {tables} in share row exclusive mode;
    set local session_replication_role = replica;
    {deletes}
    set local session_replication_role = origin
"""


@cache
def table_names() -> list[str]:
    """The tables that a test may have written to."""
    models = apps.get_models(include_auto_created=True)
    names = {model._meta.db_table for model in models if model._meta.managed and not model._meta.proxy}
    return sorted(names - KEPT)


class Command(flush.Command):
    """Empty the tables of the tests."""

    def handle(self, **options: Any) -> None:
        """Delete every row, but for the one that a migration put there."""
        names = table_names()
        with connection.cursor() as cursor:
            cursor.execute(IS_SMALL, [MUCH_BYTES, names])
            [(is_small,)] = cursor.fetchall()
        if not is_small:
            super().handle(**options)
            return
        deletes = "\n".join(f"delete from {name};" for name in names)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(EMPTY.format(tables=", ".join(names), deletes=deletes))
            put_organisation_back()
