"""The queue's statements read a handful of rows, whatever the tables were like when their plans were made."""

from __future__ import annotations

import time

import pytest
from django.db import connection, transaction

from annotation import queue
from annotation.models import Item
from tests.cast import MakeDesk, import_rows
from tests.touched_rows import rows_read

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("overlap", [1, 3])
def test_plans_made_on_small_tables_stay_good_on_large_ones(make_desk: MakeDesk, overlap: int) -> None:
    desk = make_desk(n=9, overlap=overlap)
    with connection.cursor() as cursor:
        cursor.execute("analyze")  # now it is known, not guessed, that nearly nothing is there
    for name in ("alice", "bob"):
        for _ in range(2):
            desk.submit(name, desk.lease_one(name), lease_next=1)  # the plans of this connection
    annotated = {"annotator": "ann", "answers": {"verdict": "spam"}}
    import_rows(
        desk.project, [{"external_id": f"a-{i}", "text": f"{i}", "annotations": [annotated]} for i in range(3000)]
    )
    desk.submit("alice", desk.lease_one("alice"), lease_next=1)
    before = rows_read()
    desk.submit("alice", desk.lease_one("alice"), lease_next=1)
    assert {name: n for name, n in (rows_read() - before).items() if n > 40} == {}


@pytest.mark.django_db(transaction=True)
def test_a_claim_reads_what_was_raised_since_the_last_one_and_not_all_that_ever_was(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=[{"external_id": f"t-{i}", "text": f"{i}", "group": "one"} for i in range(2000)], overlap=3)
    items = list(Item.objects.order_by("pk").values_list("pk", flat=True))
    queue.set_ranks(project_id=desk.project.pk, priorities=dict.fromkeys(items[:1900], 1.0), draw_id=None)
    for _ in range(3):
        desk.submit("alice", desk.lease_one("alice"))
        time.sleep(1.1)  # a cursor moves once a second
    queue.set_ranks(project_id=desk.project.pk, priorities=dict.fromkeys(items[1900:1910], 2.0), draw_id=None)
    with transaction.atomic():
        raised = desk.lease_one("alice")["item"]
        read = rows_read()
    assert raised in items[1900:1910]
    assert read["annotation_offer"] < 60


def test_a_claim_reads_what_ran_out_and_not_all_that_is_held(make_desk: MakeDesk) -> None:
    desk = make_desk(n=300, overlap=2, max_held=50)
    for _ in range(50):
        desk.label("alice")
    with connection.cursor() as cursor:
        cursor.execute("analyze")  # many places were taken, and nearly none is held
    for _ in range(2):
        desk.submit("bob", desk.lease_one("bob"), lease_next=1)
    for name in ("alice", "carol"):
        desk.lease(name, n=50)
    before = rows_read()
    desk.submit("bob", desk.lease_one("bob"), lease_next=1)
    assert (rows_read() - before)["annotation_seat"] < 40
