"""What the queue asks of learning by name, and history that refuses change (`learning/sql/`)."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parents[1] / "sql"


class Migration(migrations.Migration):
    dependencies = [("learning", "0001_tables"), ("annotation", "0002_functions")]

    operations = [
        migrations.RunSQL((SQL / name).read_text(encoding="utf-8"), migrations.RunSQL.noop)
        for name in ("snapshots.sql", "suggestions.sql", "voter.sql", "embeddings.sql")
    ]
