"""Q13: who labels cannot tell an item of the evaluation set from any other: bytes, headers, statements, ids, order.

Times are not measured: the same statements in the same order are what can be held without a clock.
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import sqrt
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation import queue
from annotation.models import Item, Seat
from tests.api_client import Api
from tests.cast import Desk, MakeDesk

pytestmark = pytest.mark.django_db

HOLDOUT, POOL = Item.Split.HOLDOUT, Item.Split.POOL


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Texts that differ in a number alone."""
    rows = [
        {"external_id": f"t-{i}", "text": f"text {i}", "metadata": {"length": i, "language": "en"}} for i in range(300)
    ]
    return make_desk(rows=rows, overlap=2, max_held=50, shown_metadata=["language", "length"])


def without_numbers(response: Any) -> str:
    """A response's body, byte by byte but for its numbers: ids, times and the texts' own."""
    return re.sub(r"\d+", "#", response.content.decode())


def serve_only(desk: Desk, split: int) -> None:
    learning = {"holdout_share": float(split == HOLDOUT), "every": None}
    assert Api(desk.cast.olga).patch("projects/forum", {"learning": learning}).status_code == 200


def walk_through(desk: Desk, api: Api, split: int, key: str) -> list[Any]:
    """Every request that shows an annotator an item, all on items of one split: the responses."""
    serve_only(desk, split)
    leased = api.post("projects/forum/leases", {"n": 2})
    one, two = leased.json()["leases"]
    answered = api.answer(one["id"], key=key, lease_next=2)
    told = [
        leased,
        answered,
        api.get("projects/forum/leases"),
        api.post(f"leases/{two['id']}/renew"),
        api.post(f"annotations/{answered.json()['annotation']}/undo"),
        api.answer(one["id"], key=key, lease_next=2),
    ]
    seen = {lease["item"]["id"] for response in told for lease in response.json().get("leases", [])}
    assert set(Item.objects.filter(pk__in=seen).values_list("split", flat=True)) == {split}
    held = api.get("projects/forum/leases").json()["results"]
    return told + [api.delete(f"leases/{lease['id']}") for lease in held]


def test_responses_about_holdout_items_are_the_same_in_every_byte(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    pool, holdout = (walk_through(desk, api, split, f"key-{split}") for split in (POOL, HOLDOUT))
    assert [without_numbers(response) for response in holdout] == [without_numbers(response) for response in pool]
    assert [response.status_code for response in holdout] == [response.status_code for response in pool]
    assert [sorted(response.headers) for response in holdout] == [sorted(response.headers) for response in pool]


def test_requests_about_holdout_items_ask_the_database_the_same(desk: Desk) -> None:
    api = Api(desk.cast.alice)
    walk_through(desk, api, POOL, "warm")  # what a process looks up once
    statements = {}
    for split in (POOL, HOLDOUT):
        with CaptureQueriesContext(connection) as captured:
            walk_through(desk, api, split, f"key-{split}")
        sent = [one["sql"] or "prepared" for one in captured.captured_queries]
        statements[split] = [re.sub(r"'[^']*'|\d+", "#", sql)[:120] for sql in sent]
    assert statements[HOLDOUT] == statements[POOL]


def assert_is_fair_sample(n: int, places: list[int]) -> None:
    """The mean of sampled places among 0 ... n - 1 is what chance gives, within six standard deviations."""
    m = len(places)
    assert abs(sum(places) / m - (n - 1) / 2) < 6 * sqrt((n + 1) * (n - m) / (12 * m))


def test_ids_say_nothing_about_the_split_or_the_place_in_the_file(desk: Desk) -> None:
    items = list(Item.objects.order_by("pk"))
    holdout = [place for place, item in enumerate(items) if item.split == HOLDOUT]
    assert_is_fair_sample(len(items), holdout)
    assert_is_fair_sample(len(items), [place for place, item in enumerate(items) if int(item.external_id[2:]) < 100])
    assert items[-1].pk - items[0].pk > 2**50  # drawn, not counted: a later import's ids are not the higher ones


def test_holdout_items_are_served_at_chance_places_among_the_others(desk: Desk) -> None:
    serve = {"holdout_share": 0.5, "every": None}
    Api(desk.cast.olga).patch("projects/forum", {"learning": serve})
    leases = queue.lease(project_id=desk.project.pk, person_id=desk.cast.alice.pk, n=40, rng=Random(5)).leases
    split_of = dict(Seat.objects.values_list("pk", "item__split"))
    splits = [split_of[raw["seat"]] for raw in leases]
    assert_is_fair_sample(40, [place for place, split in enumerate(splits) if split == HOLDOUT])
    runs = 1 + sum(before != after for before, after in pairwise(splits))
    assert 10 < runs < 32  # 21 expected; neither blocks nor a regular alternation
    assert [raw["seat"] for raw in leases] == sorted(raw["seat"] for raw in leases)
