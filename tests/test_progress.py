"""How far projects are, counted: by state, disputes, people's own work; and what is kept of a large project."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.core.cache import cache

from annotation import progress, queue
from annotation.actions import projects
from annotation.actions.items import quarantine_item
from annotation.models import Annotation, Item, QueueRow
from annotation.progress import count_disputes, keep_if_large, own_counts, project_progress, work_by_person
from reviewers.actions.adjudication import adjudicate
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache() -> Any:
    """What one test keeps no other one finds."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Ten items: two agreed, two disputed, one decided, one sealed, one in a second pass, three not answered."""
    desk = make_desk(n=10, overlap=2)
    for n in (1, 2, 6, 7):
        desk.vote(f"t-{n}", alice="none", bob="none")
    for n in (3, 4, 5):
        desk.vote(f"t-{n}", alice="none", bob="spam")
    adjudicate(access=desk.access("rita"), item=desk.item("t-5"), answers={"verdict": "none"}, reason="other")
    quarantine_item(item=desk.item("t-6"), actor=desk.cast.rita)
    row = desk.row("t-7")
    row.pk, row.kind, row.pass_no, row.state, row.n_submitted, row.is_closed = None, 4, 2, 0, 1, False
    row.save(force_insert=True)
    return desk


def test_items_are_counted_by_the_state_of_their_newest_pass(desk: Desk) -> None:
    empty = projects.create_project(slug="empty", name="E", schema=CHOICE_SCHEMA, settings={}, owner=desk.cast.olga)
    found = project_progress([desk.project.pk, empty.pk])
    counted = found[desk.project.pk]
    assert counted.by_state == {"agreed": 2, "disputed": 2, "adjudicated": 1, "open": 4}
    assert (counted.n_closed, counted.n_items, counted.n_resolved, counted.counted_at) == (1, 10, 3, None)
    assert counted.n_annotations == 6 * 2 + 1  # of the item in its second pass the one answer of that pass
    assert found[empty.pk] == progress.Progress()


def test_counts_follow_each_answer(make_desk: MakeDesk) -> None:
    desk = make_desk(n=4, overlap=2)
    seen = []
    for name in ("alice", "bob", "alice"):
        desk.label(name)
        counted = project_progress([desk.project.pk])[desk.project.pk]
        seen.append((counted.n_annotations, sum(counted.by_state.values())))
    assert seen == [(1, 4), (2, 4), (3, 4)]
    states = Counter(QueueRow.objects.filter(project=desk.project).values_list("state", flat=True))
    assert counted.by_state == {QueueRow.State(state).name.lower(): n for state, n in states.items()}


def test_a_large_project_is_counted_once_a_minute_and_says_when(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LARGE", 10)
    first = project_progress([desk.project.pk])[desk.project.pk]
    desk.label("carol")
    kept = project_progress([desk.project.pk])[desk.project.pk]
    assert (first.counted_at, kept.n_annotations) == (None, first.n_annotations)
    assert kept.counted_at is not None
    cache.clear()
    assert project_progress([desk.project.pk])[desk.project.pk].n_annotations == first.n_annotations + 1


def test_only_figures_of_a_large_project_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []

    def compute() -> list[int]:
        computed.append(len(computed))
        return list(computed)

    project_progress([desk.project.pk])
    assert [keep_if_large(desk.project.pk, "x", compute) for _ in range(2)] == [[0], [0, 1]]
    monkeypatch.setattr(progress, "LARGE", 10)
    project_progress([desk.project.pk])
    assert [keep_if_large(desk.project.pk, "x", compute) for _ in range(3)] == [[0, 1, 2]] * 3
    assert keep_if_large(desk.project.pk, "y", compute) == [0, 1, 2, 3]


def test_disputes_are_counted_whether_somebody_holds_them_or_not(desk: Desk) -> None:
    project = desk.project.pk
    assert count_disputes([project]) == {project: 2}
    held = desk.lease_one("rita", kind="adjudicate")
    assert count_disputes([project]) == {project: 2}
    adjudicate(
        access=desk.access("rita"), item=Item.objects.get(pk=held["item"]), answers={"verdict": "none"}, reason="other"
    )
    assert count_disputes([project]) == {project: 1}
    desk.lease_one("rita", kind="adjudicate")
    quarantine_item(item=desk.item("t-3"), actor=desk.cast.olga)
    quarantine_item(item=desk.item("t-4"), actor=desk.cast.olga)
    assert count_disputes([project]) == {}


def test_an_answer_taken_back_and_given_anew_is_one_answer(desk: Desk) -> None:
    alice, project = desk.cast.alice, desk.project
    assert own_counts(alice, [project.pk])[project.pk].n_total == 7
    done = desk.label("alice")
    raw = queue.undo(annotation_id=done.annotation_id, person_id=alice.pk)
    assert own_counts(alice, [project.pk])[project.pk].n_total == 7
    desk.submit("alice", raw, key="again")
    mine = own_counts(alice, [project.pk])[project.pk]
    assert (mine.n_total, mine.n_today) == (8, 8)
    assert Annotation.objects.filter(person=alice).count() == 9
    work = {one.person_id: one for one in work_by_person(project)}[alice.pk]
    assert (work.n_total, work.n_today) == (8, 8)
    assert own_counts(desk.cast.carol, [project.pk]) == {}
    assert work_by_person(project, desk.cast.carol) == []


def test_a_person_s_pace_is_that_of_the_newest_answers(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "NEWEST", 3)
    desk = make_desk(n=8)
    for n, seconds in enumerate((90.0, 90.0, 90.0, 2.0, 4.0, 9.0)):
        desk.submit("alice", desk.lease_one("alice"), key=f"k-{n}", seconds=seconds)
    desk.label("bob")
    people = {one.person_id: one for one in work_by_person(desk.project)}
    assert people[desk.cast.alice.pk].median_seconds == 4.0
    assert people[desk.cast.bob.pk].median_seconds is None
    assert [one.person_id for one in work_by_person(desk.project)] == [desk.cast.alice.pk, desk.cast.bob.pk]
    assert work_by_person(desk.project, desk.cast.alice) == [people[desk.cast.alice.pk]]
