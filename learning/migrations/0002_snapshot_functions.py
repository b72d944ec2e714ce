"""What the queue asks by name before an answer is taken back, and history that refuses change (`learning/sql/`)."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parents[1] / "sql"


class Migration(migrations.Migration):
    dependencies = [("learning", "0001_tables"), ("annotation", "0002_functions")]

    operations = [migrations.RunSQL((SQL / "snapshots.sql").read_text(encoding="utf-8"), migrations.RunSQL.noop)]
