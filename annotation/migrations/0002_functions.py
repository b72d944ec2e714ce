"""Triggers, settings per table, and the queue's functions (`annotation/sql/`)."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parents[1] / "sql"


class Migration(migrations.Migration):
    dependencies = [("annotation", "0001_tables")]

    operations = [
        migrations.RunSQL((SQL / name).read_text(encoding="utf-8"), migrations.RunSQL.noop)
        for name in ("tables.sql", "care.sql", "queue.sql")
    ] + [
        migrations.RunSQL(
            """
            insert into annotation_organisation
              (id, max_held, max_overlap, min_lease_seconds, max_lease_seconds, max_token_days, max_upload_bytes, undo_seconds)
            values (1, 50, 50, 1, 604800, 365, 2147483648, 900) on conflict do nothing
            """,
            migrations.RunSQL.noop,
        )
    ]
