"""The queue among many at once: real threads, real connections, real commits, then the invariants by SQL."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation import queue
from annotation.actions.import_finish import _update_metadata
from annotation.actions.people import create_user
from annotation.actions.projects import change_project, create_project, set_member
from annotation.audit import find_violations
from annotation.errors import KeyReusedError, LeaseGoneError, TouchstoneError
from annotation.models import Annotation, Offer, QueueCursor, QueueRow, Seat, User
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk, import_rows
from tests.queue_worlds import move_cursors_always
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


def assert_invariants() -> None:
    """Every invariant that rows can show holds now."""
    assert find_violations() == {}


def crowd(desk: Desk, n: int) -> list[User]:
    users = [create_user(username=f"annotator-{i}") for i in range(n)]
    for user in users:
        set_member(project=desk.project, user=user, role="annotator", actor=desk.cast.olga)
    return users


def submit(
    user: User, raw: dict[str, Any], key: str, choice: int = 1, lease_next: int = 0, rng: Random | None = None
) -> queue.Submission:
    return queue.submit(
        seat_id=raw["seat"],
        generation=raw["generation"],
        person_id=user.pk,
        key=key,
        body_digest=str(choice).encode(),
        source="human",
        answer=queue.Answer(labels=[{"q": 1, "choice": choice}]),
        salt=b"",
        lease_next=lease_next,
        rng=rng or Random(0),
    )


def test_many_people_fill_every_place_exactly_once(make_desk: MakeDesk) -> None:
    desk = make_desk(n=120, overlap={"min": 2, "max": 3}, max_held=3)
    users = crowd(desk, 8)

    def work(number: int, user: User) -> Counter[str]:
        rng, seen = Random(number), Counter[str]()
        leases: list[dict[str, Any]] = []
        for _ in range(2000):
            if not leases:
                found = queue.lease(project_id=desk.project.pk, person_id=user.pk, n=rng.choice([1, 2]), rng=rng)
                leases = found.leases
                if not leases:
                    seen[found.reason or "?"] += 1
                    if found.reason in ("empty", "done_by_you"):
                        break
                    continue
            raw = leases.pop(0)
            dice = rng.random()
            try:
                if dice < 0.05:
                    queue.release(seat_id=raw["seat"], generation=raw["generation"], person_id=user.pk)
                elif dice < 0.10:
                    with connection.cursor() as cursor:  # walks away: the lease runs out
                        cursor.execute(
                            "update annotation_seat set expires_at = clock_timestamp() - interval '1 s'"
                            " where id = %s and state = 1",
                            [raw["seat"]],
                        )
                elif dice < 0.15:
                    done = submit(user, raw, f"{raw['seat']}-{raw['generation']}")
                    leases.insert(0, queue.undo(annotation_id=done.annotation_id, person_id=user.pk))
                else:
                    done = submit(
                        user,
                        raw,
                        f"{raw['seat']}-{raw['generation']}",
                        rng.choice([1, 1, 1, 2]),
                        rng.choice([0, 1]),
                        rng,
                    )
                    submit(
                        user, raw, f"{raw['seat']}-{raw['generation']}", 1
                    ) if dice > 0.95 and done.is_replay else None
                    leases = done.leases or leases
                seen["done"] += 1
            except TouchstoneError as error:
                seen[error.code] += 1
                leases = []
        return seen

    results = together(*[lambda n=n, u=u: work(n, u) for n, u in enumerate(users)])
    assert all(isinstance(r, Counter) for r in results), results
    assert_invariants()
    # Who was told that nothing is left comes again: the last answer of all may have been taken back since.
    for _turn in range(2):
        for user in users:
            while found := queue.lease(project_id=desk.project.pk, person_id=user.pk, n=1, rng=Random(0)).leases:
                submit(user, found[0], f"last-{found[0]['seat']}-{found[0]['generation']}")
    settled = QueueRow.objects.filter(project=desk.project, kind=1)
    assert not settled.filter(state=0).exists(), [list(r.items()) for r in results]
    assert not settled.exclude(n_submitted=2).exclude(n_submitted=3).exists()


def test_the_last_place_goes_to_one_of_many(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=1)
    users = crowd(desk, 12)
    results = together(
        *[lambda u=u: queue.lease(project_id=desk.project.pk, person_id=u.pk, n=1, rng=Random(0)) for u in users]
    )
    assert sum(len(r.leases) for r in results) == 1
    assert {r.reason for r in results if not r.leases} == {"all_leased"}
    assert_invariants()


def test_an_expired_place_goes_to_one_of_many(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=1)
    users = crowd(desk, 10)
    raw = desk.lease_one("alice")
    with connection.cursor() as cursor:
        cursor.execute("update annotation_seat set expires_at = clock_timestamp() - interval '1 s'")
    late = lambda: submit(desk.cast.alice, raw, "late")  # noqa: E731
    results = together(
        late, *[lambda u=u: queue.lease(project_id=desk.project.pk, person_id=u.pk, n=1, rng=Random(0)) for u in users]
    )
    taken = sum(len(r.leases) for r in results[1:])
    assert taken + isinstance(results[0], queue.Submission) == 1
    assert isinstance(results[0], (queue.Submission, LeaseGoneError))
    assert_invariants()


def test_one_answer_sent_many_times_at_once_is_stored_once(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    raw = desk.lease_one("alice")
    results = together(*[lambda: submit(desk.cast.alice, raw, "same", lease_next=1) for _ in range(6)])
    assert {r.annotation_id for r in results} == {Annotation.objects.get().pk}
    assert len({tuple(x["seat"] for x in r.leases) for r in results}) == 1
    assert Seat.objects.filter(person=desk.cast.alice).count() == 2


def test_different_answers_under_one_key_at_once_store_one(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    raw = desk.lease_one("alice")
    results = together(*[lambda c=c: submit(desk.cast.alice, raw, "same", choice=c) for c in (1, 2, 3)])
    assert Annotation.objects.count() == 1
    assert sum(isinstance(r, KeyReusedError) for r in results) == 2


def test_one_key_in_two_projects_at_once_stores_one_answer(make_desk: MakeDesk) -> None:
    desks = [make_desk(n=1)]
    project = create_project(slug="second", name="Second", schema=CHOICE_SCHEMA, owner=desks[0].cast.olga)
    set_member(project=project, user=desks[0].cast.alice, role="annotator", actor=None)
    import_rows(project, [{"external_id": "a", "text": "x"}])
    desks.append(Desk(project, desks[0].cast))
    raws = [desk.lease_one("alice") for desk in desks]
    results = together(*[partial(submit, desks[0].cast.alice, raw, "same") for raw in raws])
    assert sum(isinstance(r, KeyReusedError) for r in results) == 1
    assert Annotation.objects.count() == 1


def test_two_answers_that_settle_an_item_at_once_settle_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=30, overlap=2, max_held=50)
    users = crowd(desk, 2)
    held = [queue.lease(project_id=desk.project.pk, person_id=u.pk, n=30, rng=Random(0)).leases for u in users]
    by_item = [{raw["item"]: raw for raw in raws} for raws in held]
    for item in by_item[0]:
        together(
            *[
                lambda u=u, raws=raws, item=item: submit(u, raws[item], f"{item}")
                for u, raws in zip(users, by_item, strict=True)
            ]
        )
    assert not QueueRow.objects.filter(project=desk.project).exclude(state=QueueRow.State.AGREED).exists()
    assert_invariants()


def test_one_persons_requests_at_once_hold_no_more_than_asked(make_desk: MakeDesk) -> None:
    desk = make_desk(n=20)
    results = together(
        *[
            lambda: queue.lease(project_id=desk.project.pk, person_id=desk.cast.alice.pk, n=2, rng=Random(0))
            for _ in range(8)
        ]
    )
    assert Seat.objects.filter(person=desk.cast.alice).count() == 2
    assert len({tuple(x["seat"] for x in r.leases) for r in results}) == 1


def test_a_smaller_overlap_among_claims_breaks_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=40, overlap=4)
    users = crowd(desk, 6)

    def claim(user: User) -> None:
        for _ in range(15):
            queue.lease(project_id=desk.project.pk, person_id=user.pk, n=5, rng=Random(0))

    def change() -> None:
        for wanted in (1, 3, 2, 4, 1):
            queue.set_overlap(project_id=desk.project.pk, wanted=wanted, after=0, limit=1000)

    together(change, *[lambda u=u: claim(u) for u in users])
    assert_invariants()


def test_nothing_is_hidden_while_priorities_change(make_desk: MakeDesk) -> None:
    desk = make_desk(n=60, overlap=1)
    users = crowd(desk, 4)
    items = list(QueueRow.objects.filter(project=desk.project).values_list("item_id", flat=True))

    def work(user: User) -> None:
        for step in range(300):
            found = queue.lease(project_id=desk.project.pk, person_id=user.pk, n=1, rng=Random(step))
            if found.leases:
                submit(user, found.leases[0], f"{user.pk}-{step}")
            elif found.reason == "empty":
                return

    def shuffle() -> None:
        rng = Random(3)
        for _ in range(20):
            queue.set_ranks(
                project_id=desk.project.pk, priorities={i: rng.random() for i in rng.sample(items, 20)}, draw_id=None
            )
            queue.move_floors()

    together(shuffle, *[lambda u=u: work(u) for u in users])
    assert_invariants()
    assert Annotation.objects.count() == 60


def test_two_reviewers_at_once_get_one_dispute(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.label("alice", "none")
    desk.label("bob", "spam")
    reviewers = crowd(desk, 4)
    for user in reviewers:
        set_member(project=desk.project, user=user, role="reviewer", actor=desk.cast.olga)
    results = together(
        *[
            lambda u=u: queue.lease(project_id=desk.project.pk, person_id=u.pk, kind="adjudicate", n=1, rng=Random(0))
            for u in reviewers
        ]
    )
    assert sum(len(r.leases) for r in results) == 1
    assert_invariants()


def test_an_item_whose_offer_is_locked_is_never_called_nothing_left(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=1)
    ask = partial(queue.lease, project_id=desk.project.pk, person_id=desk.cast.alice.pk, n=1, rng=Random(0))
    with transaction.atomic():
        Offer.objects.select_for_update().get(queue_row__project=desk.project)
        [found] = together(ask)
    assert (found.leases, found.reason, found.retry_after) == ([], "all_leased", 1)
    assert len(ask().leases) == 1


def test_a_place_is_used_or_given_back_by_one_of_many_requests_at_once(make_desk: MakeDesk) -> None:
    desk = make_desk(n=12, overlap=1)
    alice = desk.cast.alice
    for _ in range(6):
        raw = desk.lease_one("alice")
        place = {"seat_id": raw["seat"], "generation": raw["generation"], "person_id": alice.pk}
        results = together(
            *[partial(queue.release, **place)] * 2,
            *[partial(queue.skip, **place, reason="language")] * 2,
            partial(submit, alice, raw, f"{raw['seat']}-{raw['generation']}"),
        )
        assert sum(isinstance(r, LeaseGoneError) for r in results) == 4
        assert_invariants()


@pytest.mark.parametrize("overlap", [1, 2])
def test_a_place_claimed_while_the_items_language_changes_moves_with_it(make_desk: MakeDesk, overlap: int) -> None:
    desk = make_desk(n=1, overlap=overlap)
    item = desk.item("t-1")
    is_claimed, is_going = threading.Event(), threading.Event()

    def claim() -> None:
        with transaction.atomic():
            desk.lease_one("alice")
            is_claimed.set()
            is_going.wait(5)
            time.sleep(0.3)  # the other one waits for this claim by now

    def move() -> None:
        is_claimed.wait(5)
        is_going.set()
        with transaction.atomic():
            _update_metadata({item.pk: (item, {"language": "fr"})})

    together(claim, move)
    assert_invariants()


@pytest.fixture
def eager_cursors() -> Iterator[None]:
    """Cursors that move on every claim; afterwards the functions are as before."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_get_functiondef(name::regproc) from unnest(array['queue_claim', 'queue_lease']) name")
        before = [text for (text,) in cursor.fetchall()]
    move_cursors_always()
    yield
    with connection.cursor() as cursor:
        for text in before:
            cursor.execute(text)


def test_a_cursor_among_raised_items_stands_where_the_next_one_is(make_desk: MakeDesk, eager_cursors: None) -> None:
    # Each request is a transaction of its own here: in one, whatever is raised is as new as the cursor.
    desk = make_desk(
        rows=[{"external_id": f"t-{i}", "text": f"text {i}", "group": "one"} for i in range(1, 9)], overlap=2
    )
    raised = [desk.row(f"t-{i}").item_id for i in range(1, 5)]
    queue.set_ranks(
        project_id=desk.project.pk, priorities={item: 4.0 - n for n, item in enumerate(raised)}, draw_id=None
    )
    served = []
    for _ in range(3):
        lease = desk.lease_one("alice")
        served.append(lease["item"])
        desk.submit("alice", lease)
    cursor = QueueCursor.objects.get(person_id=desk.cast.alice.pk, lane_id=desk.row("t-1").lane_id)
    assert served == raised[:3]
    assert cursor.returned_rank == -2.0  # the third one's: it was free when it was looked for
    first = Seat.objects.get(person=desk.cast.alice, item_id=raised[0])
    Seat.objects.filter(pk=first.pk).update(state=Seat.State.RELEASED, annotation=None)
    assert desk.lease_one("alice")["item"] == raised[3]  # nobody said that the first one is wanted again
    queue.set_ranks(project_id=desk.project.pk, priorities={raised[0]: 0.5}, draw_id=None)
    assert [raw["item"] for raw in desk.lease("alice", 2).leases] == [raised[3], raised[0]]


def expire(*raws: dict[str, Any]) -> None:
    Seat.objects.filter(pk__in=[raw["seat"] for raw in raws]).update(expires_at=timezone.now() - timedelta(hours=1))


def test_who_loses_a_place_waits_for_nothing(make_desk: MakeDesk, eager_cursors: None) -> None:
    desk = make_desk(n=4, overlap=1)
    expire(*desk.lease("bob", 2).leases)
    is_taken, is_answered = threading.Event(), threading.Event()

    def take_over() -> bool:
        with transaction.atomic():
            assert len(desk.lease("alice", 4).leases) == 4
            is_taken.set()
            return is_answered.wait(5)  # the loser's cursor is written, and nothing is committed

    def lose() -> str | None:
        is_taken.wait(5)
        reason = desk.lease("bob", 1).reason
        is_answered.set()
        return reason

    assert together(take_over, lose) == [True, "all_leased"]
    assert_invariants()


def test_a_place_is_not_taken_from_somebody_who_is_at_work_on_their_cursor(
    make_desk: MakeDesk, eager_cursors: None
) -> None:
    rows = [{"external_id": f"t-{i}", "text": f"text {i}", "group": "one"} for i in (1, 2, 3)]
    desk = make_desk(rows=rows, overlap=1)
    first, second = desk.lease("bob", 2).leases
    queue.release(seat_id=first["seat"], generation=first["generation"], person_id=desk.cast.bob.pk)
    expire(second)
    is_claimed, is_answered = threading.Event(), threading.Event()

    def work() -> bool:
        with transaction.atomic():
            assert desk.lease_one("bob")["item"] == first["item"]
            is_claimed.set()
            return is_answered.wait(5)

    def pass_by() -> int:
        is_claimed.wait(5)
        item: int = desk.lease_one("alice")["item"]
        is_answered.set()
        return item

    is_answered_first, passed = together(work, pass_by)
    assert is_answered_first
    assert passed not in {first["item"], second["item"]}
    assert [raw["item"] for raw in desk.lease("alice", 2).leases] == [passed, second["item"]]
    assert_invariants()


def test_nobody_who_labels_waits_for_an_owner_who_changes_the_project(make_desk: MakeDesk) -> None:
    """Every answer names its project: were its row locked for good, an owner who takes out a member would wait for
    their answer, and the answer for the owner."""
    desk = make_desk(n=2)
    lease = desk.lease_one("alice")
    with transaction.atomic():
        change_project(project=desk.project, settings={"lease_seconds": 60}, actor=desk.cast.olga)
        set_member(project=desk.project, user=desk.cast.bob, role="reviewer", actor=desk.cast.olga)
        (submitted,) = together(lambda: desk.submit("alice", lease, lease_next=1))
    assert submitted.leases
