"""The demo is made while beat and a worker are at work beside it; what a newcomer meets must not depend on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from annotation.events import dispatch_events
from annotation.models import Item, Project, QueueRow
from config.demo.seed import ROUNDS, seed_community
from learning.models import Round

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@contextmanager
def events_given() -> Iterator[None]:
    """Give events to their readers all the while, as beat does, only more often."""
    stop = threading.Event()

    def give() -> None:
        while not stop.wait(0.1):
            dispatch_events()
        connection.close()

    thread = threading.Thread(target=give)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_demo_leaves_work_to_do_and_a_curve_that_climbs(settings: Any, tmp_path: Path) -> None:
    for name in ("MEDIA_DIR", "SNAPSHOT_DIR", "MODEL_DIR"):
        setattr(settings, name, tmp_path / name.lower())

    with events_given():
        seed_community(lambda _text: None)

    project = Project.objects.get(slug="community")
    rows = QueueRow.objects.filter(project=project, kind=1)
    rounds = Round.objects.filter(project=project, trigger=Round.Trigger.DEMAND).order_by("number")
    sizes = [round_.n_train or 0 for round_ in rounds]
    assert rows.filter(offer__n_free__gt=0, item__split=Item.Split.POOL).count() >= 50  # there is something to label
    assert not rows.filter(offer__n_free__gt=0, item__split=Item.Split.HOLDOUT).exists()
    assert [round_.n_selected for round_ in rounds] == [40] * ROUNDS
    assert sizes == sorted(set(sizes))  # each round learned from more than the one before
    assert project.learning is not None
    assert (project.learning["every"], project.learning["holdout_share"]) == (40, 0.2)
