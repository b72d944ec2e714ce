"""The list of items against all of them sorted in memory, in every order, state and search; and what a page touches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from itertools import product
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django import DjangoDbBlocker

from annotation import queue
from annotation.actions.items import erase_items, quarantine_item
from annotation.models import Annotation, Draw, DrawItem, Import, Item, ItemPayload, QueueRow
from learning import item_walks
from learning.items import list_items
from learning.models import ModelVersion, Score
from reviewers.actions.adjudication import adjudicate
from reviewers.models import Resolution
from tests.api_client import Api
from tests.cast import Cast, Desk, MakeDesk, make_cast, make_desk_of
from tests.touched_rows import rows_read, rows_scanned

ORDERS = ("id", "-priority", "-utility", "-disagreement")
STATES = (None, "open", "agreed", "disputed", "adjudicated", "archived", "quarantined", "erased")
WORDS = (None, "few-1", "many", "RARE", "common", "common second", "line", "nowhere", "???")
SCHEMA: dict[str, Any] = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "required": True,
            "choices": [{"value": "none"}, {"value": "spam"}, {"value": "insult"}],
        },
        {"name": "clear", "kind": "rating", "min": 1, "max": 5},
    ]
}
N = 120
# what people said of the first items: (verdicts, ratings)
SAID = (
    [(["none", "none"], [1, 1])] * 5
    + [(["none", "none"], [1, 5])] * 10  # agreed, but on the second question
    + [(["spam", "spam", "none"], [1, 1, 1])] * 12
    + [(["spam", "none", "insult"], [2, 2, 2])] * 9
    + [(["none", "spam", "insult"], [1, 2, 5])] * 6
    + [(["spam"], [4])] * 8
)


@pytest.fixture(scope="module")
def shared_cast(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Cast]:
    """Everybody, in a transaction of the module's that is rolled back at its end; each test is in a savepoint of it."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_cast()
        transaction.set_rollback(True)


@pytest.fixture
def cast(shared_cast: Cast) -> Cast:
    """The module's people, for the tests that make projects of their own."""
    return shared_cast


@pytest.fixture(scope="module")
def desk(shared_cast: Cast, django_db_blocker: DjangoDbBlocker) -> Desk:
    """What the tests of this module read: a project with items in every state, and a neighbour with the same words."""
    with django_db_blocker.unblock():
        return _make_crowd(partial(make_desk_of, shared_cast))


def _make_crowd(make_desk: MakeDesk) -> Desk:
    """Items in every state, some of them in a second pass."""
    desk = make_desk(rows=[_row(n) for n in range(N)], schema=SCHEMA, overlap={"min": 2, "max": 3})
    neighbour = make_desk(rows=[_row(n) for n in range(0, N, 3)], schema=SCHEMA, slug="neighbour")
    items = {item.external_id: item for item in Item.objects.filter(project=desk.project)}
    numbered = [items[_name(n)] for n in range(N)]
    rita = desk.access("rita")
    for item in (*numbered[27:31], numbered[0], numbered[60]):
        adjudicate(access=rita, item=item, answers={"verdict": "none"}, reason="other")
    for item in (*numbered[61:63], numbered[1], numbered[32]):
        Item.objects.filter(pk=item.pk).update(lifecycle=Item.Lifecycle.ARCHIVED)
        queue.close_items(item_ids=[item.pk])
    for item in (numbered[63], numbered[2], numbered[33]):
        quarantine_item(item=item, actor=desk.cast.rita)
    erase_items(project=desk.project, item_ids=[numbered[3].pk, numbered[64].pk], actor=None, reason="asked")
    # A second pass over one agreed and one decided item, begun anew.
    for item in (numbered[4], numbered[28]):
        row = QueueRow.objects.get(item=item, kind=1)
        row.pk, row.kind, row.pass_no, row.state, row.n_submitted, row.is_closed = None, 4, 2, 0, 0, False
        row.save(force_insert=True)
        queue.put_offers(row_ids=[row.pk])
    _undo(desk, numbered[70:72])
    desk.lease("carol", 3)
    ranks = {numbered[n].pk: float(n % 5 - 2) for n in range(0, N, 3)}
    queue.set_ranks(project_id=desk.project.pk, priorities=ranks, draw_id=None)
    _score(desk, numbered)
    _score(neighbour, list(Item.objects.filter(project=neighbour.project)))
    Item.objects.filter(pk__in=[i.pk for i in numbered[80:84]]).update(
        imported_by=Import.objects.create(project=desk.project)
    )
    return desk


def _name(n: int) -> str:
    return f"{'few' if n % 10 == 1 else 'many'}-{n}"


def _row(n: int) -> dict[str, Any]:
    words = ["Common"] * (n % 2) + ["second"] * (n % 3 == 0) + ["rare"] * (n in (5, 45, 63, 77)) + [f"own{n}"]
    row: dict[str, Any] = {"external_id": _name(n), "text": " ".join(words) + "\nline, two"}
    if n < len(SAID):
        row["annotations"] = [
            {"annotator": f"p{k}", "answers": {"verdict": verdict, "clear": rating}}
            for k, (verdict, rating) in enumerate(zip(*SAID[n], strict=True))
        ]
    return row


def _undo(desk: Desk, items: list[Item]) -> None:
    """Let two people settle each item, and one of them take it back: there is a resolution, and it says nothing."""
    assert [desk.vote(item.external_id, alice="none", bob="none") for item in items] == ["agreed"] * len(items)
    for item in items:
        answer = Annotation.objects.get(item=item, person=desk.cast.bob)
        queue.undo(annotation_id=answer.pk, person_id=desk.cast.bob.pk)


def _score(desk: Desk, items: list[Item]) -> None:
    """A current model with scores for most items, an older one, and two items in an audit draw."""
    for version, is_current in (("1", False), ("2", True)):
        model = ModelVersion.objects.create(
            project=desk.project,
            question=1,
            name="m",
            version=version,
            origin="external",
            classes=[1, 2, 3],
            is_current=is_current,
        )
        Score.objects.bulk_create(
            Score(model_version=model, item=item, choice=1, probability=0.5, utility=(n * int(version) % 7) / 7)
            for n, item in enumerate(items)
            if n % 4
        )
    audit = Draw.objects.create(project=desk.project, stream=Draw.Stream.AUDIT, strategy="random")
    DrawItem.objects.bulk_create(DrawItem(draw=audit, item=item, rank=1) for item in items[85:87])


# --- The oracle ------------------------------------------------------------------------------------------------------


def _all_rows(desk: Desk) -> list[dict[str, Any]]:
    """Every listed item with what the list must know of it, from the rows themselves."""
    model = ModelVersion.objects.get(project=desk.project, is_current=True)
    scores = dict(Score.objects.filter(model_version=model).values_list("item", "utility"))
    audited = set(DrawItem.objects.filter(draw__stream="audit").values_list("item", flat=True))
    texts = {
        pk: "".join(part.get("text", "") for part in parts).lower()
        for pk, parts in ItemPayload.objects.values_list("item", "parts")
    }
    rows = []
    for item in Item.objects.filter(project=desk.project, imported_by__is_visible=True):
        place = QueueRow.objects.filter(item=item, kind__in=(1, 4)).order_by("-pass_no")[0]
        resolved = Resolution.objects.filter(item=item, pass_no=place.pass_no).values_list("disagreement", flat=True)
        is_open = item.lifecycle == Item.Lifecycle.OPEN
        in_pool = is_open and item.split == 0 and place.state == 0 and not place.is_closed and item.pk not in audited
        lifecycle = Item.Lifecycle(item.lifecycle).name.lower()
        rows.append(
            {
                "id": item.pk,
                "external_id": item.external_id,
                "state": QueueRow.State(place.state).name.lower() if is_open else lifecycle,
                "priority": -place.rank + 0.0,
                "utility": scores.get(item.pk) if in_pool else None,
                "disagreement": max(resolved, default=None) if place.state else None,
                "words": set(texts.get(item.pk, "").replace(",", " ").split()) if item.lifecycle < 2 else set(),
            }
        )
    return rows


KEYS: dict[str, Any] = {
    "id": lambda row: row["id"],
    "-priority": lambda row: (-row["priority"], row["id"]),
    "-utility": lambda row: (row["utility"] is None, -(row["utility"] or 0), row["id"]),
    "-disagreement": lambda row: (
        row["disagreement"] is None,
        -(row["disagreement"] or 0),
        row["id"] if row["disagreement"] is None else -row["id"],
    ),
}


def _fits(row: dict[str, Any], state: str | None, words: str | None) -> bool:
    asked = set((words or "").lower().replace("?", " ").split())
    is_found = words is None or row["external_id"].startswith(words) or (asked and asked <= row["words"])
    return bool(is_found and state in (None, row["state"]))


def _walk(desk: Desk, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """All pages, one behind the other."""
    found: list[dict[str, Any]] = []
    position: list[Any] | None = None
    for _page in range(500):
        rows, position = list_items(desk.project, after=position, limit=limit, **asked)
        found += rows
        if position is None:
            return found
    raise AssertionError("the walk never ends")


def _wrong(desk: Desk, limit: int, states: tuple[Any, ...], words: tuple[Any, ...]) -> list[Any]:
    """The lists that are not what they must be."""
    everything = _all_rows(desk)
    wrong = []
    for order, state, asked in product(ORDERS, states, words):
        wanted = sorted((row for row in everything if _fits(row, state, asked)), key=KEYS[order])
        found = _walk(desk, limit, order=order, state=state, words=asked)
        wrong += [(order, state, asked)] * ([int(row["id"]) for row in found] != [row["id"] for row in wanted])
    return wrong


def _bound(monkeypatch: pytest.MonkeyPatch, few: int, looked_at: int, texts: int) -> None:
    """Let a page sort and look at no more than that; a walk is tried for half of it first."""
    for name, value in {
        "FEW": few,
        "FEW_WITH_WORDS": few,
        "FIRST_LOOKED_AT": looked_at // 2,
        "MOST_LOOKED_AT": looked_at,
        "FIRST_TEXTS": texts // 2,
        "MOST_TEXTS": texts,
    }.items():
        assert hasattr(item_walks, name)
        monkeypatch.setattr(item_walks, name, value)


# --- Order and completeness ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_items_are_in_every_state_and_every_stretch(desk: Desk) -> None:
    rows = _all_rows(desk)
    assert {row["state"] for row in rows} == set(STATES) - {None}
    assert {row["priority"] for row in rows} == {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert len({row["utility"] for row in rows}) > 5
    assert len({row["disagreement"] for row in rows}) >= 4
    assert len(rows) == N - 4
    reopened = Resolution.objects.filter(item__project=desk.project, version=2, state=0).values("item").distinct()
    assert reopened.count() == 2


@pytest.mark.django_db
def test_a_row_says_what_the_rows_behind_it_say(desk: Desk) -> None:
    shown = {int(row["id"]): row for row in _walk(desk, 500)}
    names = ("external_id", "state", "priority", "utility", "disagreement")
    for row in _all_rows(desk):
        assert {name: shown[row["id"]][name] for name in names} == {name: row[name] for name in names}


@pytest.mark.django_db
@pytest.mark.slow
@pytest.mark.parametrize(
    ("few", "looked_at", "texts"),
    [
        (10_000, 20_000, 10_000),
        (0, 20_000, 20_000),  # nothing is few: every list is walked
        (5, 7, 6),  # pages end before they are full
    ],
)
def test_every_list_is_whole_and_in_order(
    desk: Desk, few: int, looked_at: int, texts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bound(monkeypatch, few, looked_at, texts)
    assert _wrong(desk, 25, STATES, (None, "RARE", "common")) == []
    assert _wrong(desk, 25, (None, "open", "agreed"), WORDS) == []


@pytest.mark.django_db
@pytest.mark.parametrize("limit", [1, 7])
def test_pages_of_any_size_go_on_where_the_last_one_ended(desk: Desk, limit: int) -> None:
    assert _wrong(desk, limit, (None, "open", "disputed"), (None,)) == []


@pytest.mark.django_db
@pytest.mark.parametrize("words", [None, "RARE", "common", "many"])
def test_pages_are_full_while_enough_items_fit(desk: Desk, words: str | None) -> None:
    api = Api(desk.cast.enzo)
    n = len(_walk(desk, 500, words=words))
    asked = f"&q={words}" if words else ""
    for order in ORDERS:
        pages = api.walk(f"projects/forum/items?order={order}&limit=3{asked}")
        assert [len(page) for page in pages[:-1]] == [3] * ((n - 1) // 3)


@pytest.mark.django_db
def test_an_item_is_agreed_where_no_question_had_to_be_settled(make_desk: MakeDesk) -> None:
    ratings = [{"annotator": name, "answers": {"clear": rating}} for name, rating in (("ann", 1), ("ben", 5))]
    desk = make_desk(
        slug="ratings",
        rows=[{"external_id": "split", "text": "a", "annotations": ratings}, {"external_id": "new", "text": "b"}],
        schema={"questions": [{"name": "clear", "kind": "rating", "min": 1, "max": 5}]},
        overlap=2,
    )
    for order in ORDERS:
        rows, _following = list_items(desk.project, order=order, state="agreed")
        assert [row["external_id"] for row in rows] == ["split"]


@pytest.mark.django_db
def test_a_short_page_is_followed_by_another_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _bound(monkeypatch, 0, 20_000, 10)
    rows, following = list_items(desk.project, words="rare", limit=3)
    assert len(rows) < 3
    assert following is not None


@pytest.mark.django_db
def test_a_page_without_any_item_offers_to_look_further(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _bound(monkeypatch, 0, 20_000, 5)
    api = Api(desk.cast.enzo)
    pages = api.walk("projects/forum/items?q=rare&order=-disagreement")
    assert [] in pages[:-1]
    client = Client()
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    html, seen = client.get("/p/forum/items/?q=rare&order=-disagreement").content.decode(), []
    for _page in range(len(pages) - 1):
        seen.append("Look further" in html)
        following = re.search(r'href="([^"]*after=[^"]*)"', html)
        assert following is not None
        html = client.get(unescape(following[1])).content.decode()
    assert True in seen
    assert "Look further" not in html


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "words"),
    [("archived", None), ("disputed", None), (None, "rare"), ("agreed", "rare"), (None, "line"), ("archived", "line")],
)
def test_the_few_that_fit_are_on_one_page_however_far_apart_they_are(
    desk: Desk, state: str | None, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = sorted(row["id"] for row in _all_rows(desk) if _fits(row, state, words))
    _bound(monkeypatch, 10_000, 30, 10)
    for order in ORDERS:
        rows, following = list_items(desk.project, order=order, state=state, words=words, limit=500)
        assert (sorted(int(row["id"]) for row in rows), following) == (wanted, None)
    assert wanted


@pytest.mark.django_db
def test_words_are_found_after_a_line_break_and_in_long_texts(make_desk: MakeDesk) -> None:
    rows = [
        {"external_id": "lines", "text": 'first\nsecond\tthird "fourth" C:\\new'},
        {"external_id": "long", "text": "begin " + "\n".join(f"word{n}" for n in range(30_000)) + "\nlate"},
    ]
    desk = make_desk(slug="texts", rows=rows)

    def find(words: str) -> list[str]:
        return [row["external_id"] for row in list_items(desk.project, words=words)[0]]

    assert [find(word) for word in ("second", "third", "FOURTH", "new")] == [["lines"]] * 4
    assert [find(word) for word in ("begin", "word0", "word9")] == [["long"]] * 3
    assert find("late") == []  # of a very long text the beginning is searched


@pytest.mark.django_db
def test_items_that_wait_for_the_answers_of_their_import_are_open(make_desk: MakeDesk) -> None:
    desk = make_desk(slug="waiting", n=4)
    job = desk.project.jobs.create(kind="import", created_at=desk.project.created_at, run_at=desk.project.created_at)
    Import.objects.filter(project=desk.project).update(job_id=job.pk)
    queue.close_items(item_ids=[desk.item("t-2").pk])
    found = [row["external_id"] for row in list_items(desk.project, state="open")[0]]
    assert sorted(found) == ["t-1", "t-2", "t-3", "t-4"]


# --- What a page touches ---------------------------------------------------------------------------------------------

LARGE = 20_000


@pytest.fixture
def large(make_desk: MakeDesk) -> Desk:
    """20,000 items beside one that came in properly, a fifth of them settled, in tables that nobody has analysed."""
    desk = make_desk(slug="large", n=1)
    first = desk.row("t-1")
    about = {
        "n": LARGE,
        "item": first.item_id,
        "model": ModelVersion.objects.create(
            project=desk.project, question=1, name="m", version="1", origin="external", classes=[1], is_current=True
        ).pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            """
            create temporary table made on commit drop as
              select (hashtextextended(n::text, 1) & 4611686018427387903) as id, n from generate_series(1, %(n)s) n
            """,
            about,
        )
        cursor.execute(
            """
            insert into annotation_item (id, project_id, imported_by_id, external_id, has_own_id, "group", commitment,
                metadata, split, lifecycle, created_at)
              select m.id, i.project_id, i.imported_by_id, 'made-' || m.n, true, '', '', '{}', 0, 0, now()
              from made m, annotation_item i where i.id = %(item)s
            """,
            about,
        )
        cursor.execute(
            """
            insert into annotation_itempayload (item_id, parts, salt)
              select id, jsonb_build_array(jsonb_build_object('kind', 'text', 'text', concat_ws(' ', 'word', n,
                case when n %% 2 = 0 then 'common' end, case when n %% 1000 = 0 then 'rare' end))), ''
              from made
            """,
            about,
        )
        cursor.execute(
            """
            insert into annotation_queuerow (project_id, item_id, lane_id, kind, pass_no, rank, tiebreak, overlap,
                n_submitted, state, is_closed, draw_id)
              select q.project_id, m.id, q.lane_id, 1, 1, case when n %% 500 = 0 then -n else 0 end, n, 1, 0,
                case when n %% 100 = 0 then 2 when n %% 5 = 0 then 1 else 0 end, n %% 100 = 0, q.draw_id
              from made m, annotation_queuerow q where q.item_id = %(item)s
            """,
            about,
        )
        cursor.execute(
            """
            insert into annotation_offer (queue_row_id, item_id, lane_id, rank, tiebreak, n_free)
              select q.id, q.item_id, q.lane_id, q.rank, q.tiebreak, 1 from made m
              cross join lateral (select * from annotation_queuerow x where x.item_id = m.id offset 0) q
              where q.state = 0
            """
        )
        cursor.execute(
            """
            insert into reviewers_resolution (project_id, item_id, question, pass_no, state, method, votes, n_votes,
                disagreement, version, changed_at)
              select q.project_id, q.item_id, 1, 1, q.state, 'majority', '{}', 1, (q.tiebreak % 3) / 3.0, 1, now()
              from made m
              cross join lateral (select * from annotation_queuerow x where x.item_id = m.id offset 0) q
              where q.state > 0
            """
        )
        cursor.execute(
            """
            insert into learning_score (model_version_id, item_id, choice, probability, utility)
              select %(model)s, id, 1, 0.5, (n %% 997) / 997.0 from made
            """,
            about,
        )
    return desk


GROWING = (
    "annotation_item",
    "annotation_itempayload",
    "annotation_queuerow",
    "annotation_offer",
    "annotation_seat",
    "reviewers_resolution",
    "learning_score",
    "annotation_drawitem",
)


def _touched(desk: Desk, **asked: Any) -> tuple[int, int]:
    """How many rows of the tables that grow a page read one after the other through a whole table, and in all."""
    scanned, read = rows_scanned(), rows_read()
    list_items(desk.project, **asked)
    more_scanned, more_read = rows_scanned() - scanned, rows_read() - read
    return sum(more_scanned[name] for name in GROWING), sum(more_read[name] for name in GROWING)


@pytest.mark.django_db
@pytest.mark.slow
def test_a_page_touches_few_rows_whatever_the_planner_knows(large: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _bound(monkeypatch, 100, 400, 200)
    model = ModelVersion.objects.get(project=large.project).pk
    middles: dict[str, Any] = {
        "id": [0, model, [2**61]],
        "-priority": [1, model, [2**61]],
        "-utility": [0, model, [0.5, 0]],
        "-disagreement": [0, model, [1 / 3, 2**61]],
    }
    lists = product(ORDERS, (None, "open", "agreed", "disputed", "archived"), (None, "rare", "common", "made-", "no"))
    costs = {
        (order, state, words, is_deep): _touched(
            large, order=order, state=state, words=words, after=middles[order] if is_deep else None
        )
        for order, state, words in lists
        for is_deep in (False, True)
    }
    assert {asked: cost for asked, cost in costs.items() if cost[0]} == {}
    # Three stretches at most, each past 400 rows, with a handful of rows looked at for each.
    assert {asked: cost for asked, cost in costs.items() if cost[1] > 6_000} == {}
