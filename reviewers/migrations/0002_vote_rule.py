"""The vote rule that the queue calls by name, history that refuses change, and votes counted for agreement
(`reviewers/sql/`).
"""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parents[1] / "sql"


class Migration(migrations.Migration):
    dependencies = [("reviewers", "0001_tables"), ("annotation", "0002_functions")]

    operations = [
        migrations.RunSQL((SQL / name).read_text(encoding="utf-8"), migrations.RunSQL.noop)
        for name in ("posterior.sql", "marks.sql", "vote.sql", "agreement.sql")
    ]
