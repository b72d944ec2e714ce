"""Votes counted beside the labels: after anything that can happen they are what a count of the labels gives."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from django.test import Client

from annotation import queue
from annotation.actions.items import quarantine_item
from annotation.actions.people import ensure_outside_person
from annotation.actions.projects import put_schema
from annotation.errors import UndoTooLateError
from annotation.events import dispatch_events
from annotation.jobs import run_job
from annotation.kinds import choice
from annotation.models import Event, Item, Job, Project, User
from reviewers import tasks
from reviewers.actions.votes import start_recount_if_due
from reviewers.agreement import recount, vote_counts
from reviewers.agreement.report import project_agreement
from reviewers.agreement.vote_counts import seconds_behind
from reviewers.consumers import read_votes
from reviewers.loading import load_coded
from reviewers.models import AgreementCount, AgreementItem, AgreementVoter
from reviewers.reports import pick_question
from tests.cast import Desk, MakeDesk, import_rows

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"

SCHEMA: dict[str, Any] = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "required": True,
            "choices": [{"value": "none"}, {"value": "spam"}, {"value": "insult"}],
        },
        {"name": "tags", "kind": "choices", "choices": [{"value": "x"}, {"value": "y"}, {"value": "z"}]},
        {"name": "grade", "kind": "rating", "min": -1, "max": 3},
        {"name": "size", "kind": "number"},
    ]
}
BREAKING: dict[str, Any] = {
    "questions": [
        {**SCHEMA["questions"][0], "choices": [{"value": "none"}, {"value": "scam"}]},
        *SCHEMA["questions"][1:3],
    ]
}
TO_BREAKING = {"verdict": {"spam": "scam", "insult": None}}


class Folding:
    """The events that nobody has read yet, given to the consumer as a dispatcher gives them: some at a time."""

    def __init__(self) -> None:
        self.last = 0

    def read(self, limit: int | None = None) -> None:
        events = list(Event.objects.filter(pk__gt=self.last).order_by("pk")[:limit])
        self.last = max([self.last, *(event.pk for event in events)])
        read_votes(events)


def counted(project: Project) -> dict[int, Counter[str]]:
    """The histogram by question."""
    found: dict[int, Counter[str]] = {}
    for row in AgreementCount.objects.filter(project=project).exclude(n_items=0):
        found.setdefault(row.question, Counter())[row.votes] = row.n_items
    return found


def stands(project: Project) -> dict[int, Counter[str]]:
    """The same from the labels, by a way of its own: loaded as strata are, and counted in Python."""
    found: dict[int, Counter[str]] = {}
    for number in vote_counts.counted_ids(project.pk):
        labels = load_coded(project, question_of(project, number))
        by_item: dict[int, Counter[str]] = {}
        for item, code in zip(labels.item.tolist(), labels.code.tolist(), strict=True):
            by_item.setdefault(item, Counter())[spelt(labels.values[code])] += 1
        spellings = Counter(";".join(f"{v}:{n}" for v, n in sorted(votes.items())) for votes in by_item.values())
        if spellings:
            found[number] = spellings
    return found


def spelt(value: vote_counts.Value) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def question_of(project: Project, number: int) -> dict[str, Any]:
    assert project.schema is not None
    return dict(next(q for q in project.schema.compiled["questions"] if q["id"] == number))


def voters(project: Project) -> dict[tuple[int, int], tuple[int, int]]:
    rows = AgreementVoter.objects.filter(project=project).exclude(n_labels=0)
    return {(row.question, row.person_id): (row.n_labels, row.n_shared) for row in rows}


def voters_that_stand(project: Project) -> dict[tuple[int, int], tuple[int, int]]:
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for number in vote_counts.counted_ids(project.pk):
        labels = load_coded(project, question_of(project, number))
        sizes = Counter(labels.item.tolist())
        for item, person in zip(labels.item.tolist(), labels.person.tolist(), strict=True):
            n, n_shared = found.get((number, person), (0, 0))
            found[number, person] = (n + 1, n_shared + (sizes[item] > 1))
    return found


def fresh(desk: Desk) -> Project:
    return Project.objects.select_related("schema", "guideline").get(pk=desk.project.pk)


class World:
    """A project in which anything happens by chance."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.rng = desk, Random(seed)
        self.done: list[tuple[str, int]] = []
        self.n_imported = 0
        self.robot = ensure_outside_person(project=desk.project, name="careless", kind=User.Kind.SIMULATED)

    def answers(self) -> dict[str, Any]:
        rng = self.rng
        said: dict[str, Any] = {"verdict": rng.choice(["none", "none", "spam", "insult"])}
        said |= rng.choice([{}, {}, {"size": rng.random()}])
        said |= rng.choice([{}, {"tags": rng.sample(["x", "y", "z"], rng.randrange(4))}])
        return said | rng.choice([{}, {"grade": rng.randrange(-1, 4)}])

    def label(self) -> None:
        name = self.rng.choice(["alice", "bob", "carol"])
        for raw in self.desk.lease(name, 1, seed=self.rng.randrange(99)).leases[:1]:
            done = self.desk.submit(name, raw, self.answers(), key=str(self.rng.random()))
            self.done.append((name, done.annotation_id))

    def undo(self) -> None:
        for name, annotation in self.rng.sample(self.done, min(1, len(self.done))):
            with contextlib.suppress(UndoTooLateError):
                queue.undo(annotation_id=annotation, person_id=self.desk.cast[name].pk)

    def bring(self) -> None:
        self.n_imported += 1
        people = self.rng.sample(["A", "B", "C", "D"], self.rng.randrange(5))
        given = [{"annotator": name, "answers": self.answers()} for name in people]
        import_rows(fresh(self.desk), [{"external_id": f"i-{self.n_imported}", "text": "new", "annotations": given}])

    def seal(self) -> None:
        item = self.rng.choice(list(Item.objects.filter(project=self.desk.project).order_by("pk")))
        quarantine_item(item=item, actor=self.desk.cast.rita)

    def widen(self) -> None:
        queue.set_overlap(project_id=self.desk.project.pk, wanted=self.rng.randrange(2, 5), after=0, limit=1000)

    def simulate(self) -> None:
        question = pick_question(fresh(self.desk), "verdict")
        leases = queue.lease(project_id=self.desk.project.pk, person_id=self.robot.pk, n=1, rng=self.rng).leases
        for raw in leases[:1]:
            queue.submit(
                seat_id=raw["seat"],
                generation=raw["generation"],
                person_id=self.robot.pk,
                key=str(self.rng.random()),
                body_digest=bytes(32),
                source="simulated",
                answer=queue.Answer(labels=[{"q": question["id"], "choice": choice.domain(question)["none"]}]),
                salt=b"",
                rng=self.rng,
            )

    def step(self) -> None:
        kinds: list[Callable[[], None]] = [self.label] * 8 + [self.undo] * 3 + [self.bring] * 2 + [self.simulate] * 2
        self.rng.choice([*kinds, self.seal, self.widen])()


@pytest.mark.parametrize("seed", range(4))
def test_the_counts_are_those_of_the_labels_whatever_happens(make_desk: MakeDesk, seed: int) -> None:
    desk = make_desk(12, SCHEMA, overlap={"min": 2, "max": 4})
    world, folding = World(desk, seed), Folding()
    for _ in range(6):
        for _ in range(15):
            world.step()
        folding.read(limit=world.rng.randrange(1, 40))
    folding.read()
    assert counted(desk.project) == stands(fresh(desk))
    assert voters(desk.project) == voters_that_stand(fresh(desk))
    put_schema(project=desk.project, schema=BREAKING, map=TO_BREAKING, actor=desk.cast.olga)
    folding.read(limit=3)
    run_job(Job.objects.filter(kind="schema").latest("pk").pk)
    folding.read()
    project = fresh(desk)
    assert sum(sum(one.values()) for one in stands(project).values()) > 15
    current = set(vote_counts.counted_ids(project.pk))
    assert {number: votes for number, votes in counted(project).items() if number in current} == stands(project)
    assert {key: n for key, n in voters(project).items() if key[0] in current} == voters_that_stand(project)


def test_events_read_twice_or_out_of_order_do_no_harm(make_desk: MakeDesk) -> None:
    desk = make_desk(3, overlap=2)
    desk.vote("t-1", alice="spam", bob="none")
    desk.vote("t-2", alice="spam", bob="spam")
    events = list(Event.objects.order_by("-pk"))
    for _ in range(2):
        read_votes(events)
    assert counted(desk.project) == stands(fresh(desk)) == {1: Counter({"1:1;2:1": 1, "2:2": 1})}


def test_an_answer_taken_back_leaves_nothing_behind(make_desk: MakeDesk) -> None:
    desk = make_desk(1)
    done = desk.label("alice", "spam")
    folding = Folding()
    folding.read()
    assert counted(desk.project) == {1: Counter({"2:1": 1})}
    queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)
    folding.read()
    assert counted(desk.project) == {}
    assert not AgreementItem.objects.filter(project=desk.project).exists()
    assert voters(desk.project) == {}


def test_figures_come_from_the_histogram_where_a_project_is_large(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(3, overlap=2)
    desk.vote("t-1", alice="spam", bob="none")
    live = project_agreement(fresh(desk), pick_question(fresh(desk), None))
    assert (live["metrics"][0]["value"], live["behind_seconds"]) == (0.0, 0.0)
    monkeypatch.setattr(vote_counts, "FEW_LABELS", 1)
    before = project_agreement(fresh(desk), pick_question(fresh(desk), None))
    assert before["metrics"][0]["refusal"] == "no item has two labels"  # nobody has read the events
    assert before["behind_seconds"] > 0
    Folding().read()
    after = project_agreement(fresh(desk), pick_question(fresh(desk), None))
    assert after["metrics"] == live["metrics"]
    assert (
        after["confusion"]
        == live["confusion"]
        == {"values": ["none", "spam"], "items": [[0, 1], [1, 0]], "coincidences": [[0, 1], [1, 0]]}
    )


@pytest.mark.django_db(transaction=True)
def test_a_submit_writes_nothing_of_it_and_the_dispatcher_catches_up(make_desk: MakeDesk) -> None:
    desk = make_desk(2, overlap=2)
    dispatch_events()
    desk.vote("t-1", alice="spam", bob="none")
    assert not AgreementItem.objects.exists()
    assert seconds_behind(desk.project) > 0
    dispatch_events()
    assert counted(desk.project) == {1: Counter({"1:1;2:1": 1})}
    assert seconds_behind(desk.project) == 0


# The daily recount


def run_recount() -> Job:
    tasks.start_recount()
    job = Job.objects.filter(kind=recount.KIND).latest("pk")
    run_job(job.pk)
    job.refresh_from_db()
    return job


def count_two_items(make_desk: MakeDesk) -> Desk:
    desk = make_desk(2, overlap=2)
    desk.vote("t-1", alice="spam", bob="none")
    desk.vote("t-2", alice="spam", bob="spam")
    dispatch_events()
    return desk


@pytest.mark.django_db(transaction=True)
def test_a_recount_that_finds_all_as_counted_says_nothing(make_desk: MakeDesk) -> None:
    desk = count_two_items(make_desk)
    job = run_recount()
    assert (job.state, (job.result or {})["differences"]) == ("done", [])
    assert recount.known_alarm(desk.project) is None
    assert start_recount_if_due() is None  # a day later
    assert not Event.objects.filter(kind="agreement.differed").exists()


@pytest.mark.parametrize("damage", ["item", "sum", "person"])
@pytest.mark.django_db(transaction=True)
def test_a_recount_puts_a_wrong_count_right_and_tells_the_owner(make_desk: MakeDesk, damage: str) -> None:
    desk = count_two_items(make_desk)
    {
        "item": lambda: AgreementItem.objects.filter(votes="2:2").update(votes="2:3"),
        "sum": lambda: AgreementCount.objects.filter(votes="2:2").update(n_items=7),
        "person": lambda: AgreementVoter.objects.filter(person=desk.cast.alice).update(n_shared=9),
    }[damage]()
    job = run_recount()
    assert counted(desk.project) == stands(fresh(desk))
    assert voters(desk.project) == voters_that_stand(fresh(desk))
    assert [one["project"] for one in (job.result or {})["differences"]] == [desk.project.pk]
    assert Event.objects.filter(kind="agreement.differed", project=desk.project).count() == 1
    client = Client()
    client.force_login(desk.cast.olga, backend=BACKEND)
    assert "counted otherwise than the labels say" in client.get("/p/forum/").content.decode()
    client.force_login(desk.cast.rita, backend=BACKEND)
    assert "counted otherwise than the labels say" not in client.get("/p/forum/agreement/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_what_is_folded_while_the_recount_waits_is_no_alarm(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = count_two_items(make_desk)
    given = [{"annotator": "A", "answers": {"verdict": "spam"}}]
    import_rows(desk.project, [{"external_id": "new", "text": "n", "annotations": given}])

    def read_then_look(project: Project) -> float:
        dispatch_events()
        return seconds_behind(project)

    monkeypatch.setattr(recount, "seconds_behind", read_then_look)
    assert (run_recount().result or {})["differences"] == []


@pytest.mark.django_db(transaction=True)
def test_a_recount_while_nobody_reads_events_is_no_verdict(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recount, "PATIENCE_SECONDS", 0.0)
    desk = make_desk(1)
    desk.label("alice", "spam")
    time.sleep(0.05)
    assert run_recount().state == "failed"
    assert recount.known_alarm(desk.project) is None
