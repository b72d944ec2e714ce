"""What is read in a project of which the database has no statistics.

PostgreSQL looks at a table again once it has grown by a tenth: a project that is new beside large ones it takes for one
row, for hours. A plan that goes through all items for that one row goes through them for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from annotation.actions import people, projects
from learning.actions.snapshots import freeze_members
from learning.snapshots.schedule import count_new
from tests.cast import CHOICE_SCHEMA, PASSWORD, import_rows
from tests.permission_bodies import World, build_world
from tests.test_permissions import ROWS, read_body, send
from tests.touched_rows import rows_read

pytestmark = pytest.mark.django_db

# Too few for an import to have the tables looked at.
N_ITEMS = 500
# Rows of all tables together. What goes through all items for each of them reads more than two hundred times as many.
MOST_READ = 150 * N_ITEMS


def annotated() -> Iterator[dict[str, Any]]:
    """Items with two answers each; in every tenth they differ."""
    for number in range(N_ITEMS):
        first = "spam" if number % 3 else "none"
        answers = {"ann": first, "ben": "insult" if number % 10 == 0 else first}
        yield {
            "external_id": f"a-{number}",
            "text": f"text {number}",
            "annotations": [{"annotator": name, "answers": {"verdict": said}} for name, said in answers.items()],
        }


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """A project in the middle of its work that came after the tables were last looked at."""
    with django_db_blocker.unblock(), transaction.atomic():
        owner = people.create_user(username="first", password=PASSWORD)
        settings = {"overlap": 2, "learning": {"every": None}}
        older = projects.create_project(
            slug="older", name="Older", schema=CHOICE_SCHEMA, settings=settings, owner=owner
        )
        import_rows(older, annotated())
        with connection.cursor() as cursor:
            cursor.execute("analyze")
        found = build_world()
        import_rows(found.desk.project, annotated())
        yield found
        transaction.set_rollback(True)


# A superuser sees everything, and only a member labels.
ROLES = {row["method"]: "superuser" if row["method"] == "GET" else "owner" for row in ROWS}


@pytest.mark.parametrize(("route", "method"), [(row["route"], row["method"]) for row in ROWS])
def test_no_request_reads_all_items_for_each_of_them(world: World, route: str, method: str) -> None:
    before = rows_read()
    read_body(send(world, route, method, ROLES[method]))
    assert (rows_read() - before).total() < MOST_READ


def test_neither_does_a_snapshot_nor_the_look_whether_one_is_due(world: World) -> None:
    before = rows_read()
    assert count_new(world.desk.project, None) == N_ITEMS - N_ITEMS // 10 + 1
    frozen = freeze_members(project=world.desk.project, query={}, job=None, actor=None)
    assert (frozen.n_items or 0) > N_ITEMS / 2
    assert (rows_read() - before).total() < MOST_READ
