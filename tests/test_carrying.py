"""A breaking label schema is published with its map: what becomes of answers, of votes, and of what was decided."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from annotation import queue
from annotation.actions.carrying import KIND, is_carrying
from annotation.actions.imports import load_items, start_import
from annotation.actions.items import quarantine_item
from annotation.actions.jobs import claim_job
from annotation.actions.projects import put_schema
from annotation.audit import find_violations
from annotation.carrying import Carried, Fate, carry, make_passage
from annotation.commitments import commit_answer
from annotation.errors import StateError, UndoTooLateError
from annotation.events import dispatch_events
from annotation.importing.rows import parse_row
from annotation.job_kinds.imports import run_import
from annotation.jobs import JobLostError, RunningJob, run_job
from annotation.kinds import LabelValue
from annotation.models import Annotation, AnnotationText, Event, Job, Label, Offer, Project, QueueRow, Seat
from annotation.progress import own_counts
from annotation.schema import AnswersError, MapError, compile_schema, parse_answers, show_answers
from learning.actions.snapshots import freeze_members
from reviewers.actions.adjudication import adjudicate
from reviewers.agreement.report import project_agreement
from reviewers.disputes import dispute_detail
from reviewers.job_kinds import carrying as carrying_job
from reviewers.models import Resolution
from reviewers.reports import show_resolutions
from tests.api_client import Api, fault_of
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk
from tests.job_rows import age_heartbeat

pytestmark = pytest.mark.django_db

VERDICT: dict[str, Any] = CHOICE_SCHEMA["questions"][0]
SCAM: dict[str, Any] = {
    "questions": [{**VERDICT, "choices": [{"value": "none"}, {"value": "scam"}, {"value": "phishing"}]}]
}
TO_SCAM = {"verdict": {"spam": "scam", "insult": None}}
RICH: dict[str, Any] = {
    "questions": [
        VERDICT,
        {"name": "why", "kind": "choices", "choices": [{"value": "ads"}, {"value": "fake"}, {"value": "rude"}]},
        {
            "name": "how_bad",
            "kind": "rating",
            "min": 1,
            "max": 5,
            "required": True,
            "when": {"question": "verdict", "in": ["spam", "insult"]},
        },
        {"name": "n_words", "kind": "number", "min": 0},
    ]
}


def without(name: str, **changes: Any) -> dict[str, Any]:
    """RICH without a question; `changes` replace keys of others, by their name."""
    return {
        "questions": [
            {**question, **changes.get(question["name"], {})}
            for question in RICH["questions"]
            if question["name"] != name
        ]
    }


# One answer, without a database


def take(
    new: dict[str, Any], raw_map: Mapping[str, Any], answers: Mapping[str, Any]
) -> tuple[Carried, dict[str, Any], dict[str, str]]:
    """An answer to RICH under a new schema: the result, its values as callers send them, and the fates by name."""
    old = compile_schema(RICH)
    compiled = compile_schema(new, old)
    result = carry(make_passage(old, compiled, raw_map), parse_answers(old, dict(answers)))
    names = {question["id"]: question["name"] for question in (*old["questions"], *compiled["questions"])}
    fates = {names[number]: str(fate) for number, fate in result.fates.items()}
    return result, show_answers(compiled, result.values), fates


SPAM = {"verdict": "spam", "why": ["ads", "fake"], "how_bad": 4, "n_words": 12.5}


def test_what_still_stands_is_kept_listed_or_not() -> None:
    new = without("", why={"choices": [{"value": "ads"}, {"value": "fake"}]})
    result, values, fates = take(new, {"why": {"rude": None}}, SPAM)
    assert values == SPAM
    assert set(fates.values()) == {"kept"}
    assert (result.is_changed, result.is_asked_again) == (False, False)


def test_a_mapped_value_is_another_one() -> None:
    new = without("", why={"choices": [{"value": "ads"}, {"value": "lie"}]})
    result, values, fates = take(new, {"why": {"fake": "lie", "rude": "lie"}}, SPAM)
    assert values == {**SPAM, "why": ["ads", "lie"]}
    assert fates == {"verdict": "kept", "why": "mapped", "how_bad": "kept", "n_words": "kept"}
    assert result.is_changed


def test_one_value_without_a_target_asks_the_whole_answer_again() -> None:
    new = without("", why={"choices": [{"value": "ads"}]})
    result, _values, fates = take(new, {"why": {"fake": None, "rude": None}}, SPAM)
    assert result.is_asked_again
    assert fates["why"] == "asked"
    assert fates["verdict"] == "kept"


def test_a_question_that_left_is_dropped_and_asks_nothing() -> None:
    result, values, fates = take(without("n_words"), {}, SPAM)
    assert values == {"verdict": "spam", "why": ["ads", "fake"], "how_bad": 4}
    assert fates["n_words"] == "dropped"
    assert not result.is_asked_again


def test_what_is_no_longer_asked_is_dropped() -> None:
    new = without("", how_bad={"when": {"question": "verdict", "in": ["insult"]}})
    result, values, fates = take(new, {}, SPAM)
    assert "how_bad" not in values
    assert (fates["how_bad"], result.is_asked_again) == ("dropped", False)


def test_a_question_that_is_asked_by_the_mapped_value_needs_an_answer() -> None:
    result, _values, fates = take(without(""), {"verdict": {"none": "insult"}}, {"verdict": "none"})
    assert fates == {"verdict": "mapped", "how_bad": "asked"}
    assert result.is_asked_again


def test_a_question_that_became_required_asks_those_who_gave_no_answer() -> None:
    new = without("", n_words={"required": True})
    assert not take(new, {}, SPAM)[0].is_asked_again
    assert take(new, {}, {"verdict": "none"})[2] == {"verdict": "kept", "n_words": "asked"}


def test_numbers_are_asked_again_only_where_their_own_question_breaks() -> None:
    narrower = without("", n_words={"max": 100})
    assert take(narrower, {}, SPAM)[2]["n_words"] == "asked"
    assert take(narrower, {}, {"verdict": "none"})[0].is_asked_again is False


def test_another_kind_takes_the_values_that_the_map_names() -> None:
    new = without("", how_bad={"kind": "choice", "choices": [{"value": "mild"}, {"value": "grave"}]})
    for one in new["questions"]:
        if one["name"] == "how_bad":
            del one["min"], one["max"]
    to = {"how_bad": {"1": "mild", "2": "mild", "3": None, "4": "grave", "5": "grave"}}
    assert take(new, to, SPAM)[1]["how_bad"] == "grave"
    assert take(new, to, {**SPAM, "how_bad": 3})[2]["how_bad"] == "asked"


def test_fates_are_words_of_the_interface() -> None:
    assert [str(fate) for fate in Fate] == ["kept", "mapped", "dropped", "asked"]


# Whole projects


def publish(desk: Desk, schema: dict[str, Any] = SCAM, raw_map: dict[str, Any] = TO_SCAM) -> Job | None:
    _row, job = put_schema(project=desk.project, schema=schema, map=raw_map, actor=desk.cast.olga)
    desk.project = Project.objects.select_related("schema", "guideline").get(pk=desk.project.pk)
    return job


def finish(job: Job | None) -> dict[str, Any]:
    """Run a job to its end; its result."""
    assert job is not None
    run_job(job.pk)
    job.refresh_from_db()
    assert job.state == "done", job.error
    assert isinstance(job.result, dict)
    return job.result


def standing(desk: Desk, name: str) -> list[tuple[str, Any]]:
    """Who said what on an item, by the answers that count."""
    assert desk.project.schema is not None
    compiled = desk.project.schema.compiled
    said = []
    for seat in Seat.objects.filter(item=desk.item(name), state=Seat.State.SUBMITTED, kind=1).order_by("person"):
        labels = Label.objects.filter(annotation=seat.annotation_id)
        values = {one.question: LabelValue(one.choice, one.choices, one.number) for one in labels}
        said.append((seat.person.username, show_answers(compiled, values)))
    return said


def accepted(desk: Desk, name: str = "t-1") -> dict[str, tuple[str, Any]]:
    assert desk.project.schema is not None
    rows = show_resolutions(desk.item(name), desk.project.schema.compiled)
    return {row["question"]: (row["state"], row["value"]) for row in rows}


def assert_sound() -> None:
    assert find_violations() == {}


def test_mapped_votes_count_under_their_new_value_and_history_stays(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2, overlap=2)
    desk.vote("t-1", alice="spam", bob="spam")
    before = list(Annotation.objects.values())
    labels = list(Label.objects.values())
    result = finish(publish(desk))
    assert result == {"carried": 2, "asked_again": 0, "reopened": 0, "decisions": 0}
    assert standing(desk, "t-1") == [("alice", {"verdict": "scam"}), ("bob", {"verdict": "scam"})]
    assert accepted(desk) == {"verdict": ("agreed", "scam")}
    old = [row["id"] for row in before]
    assert list(Annotation.objects.filter(pk__in=old).values()) == before
    assert list(Label.objects.filter(annotation__in=old).values()) == labels
    assert_sound()


def test_a_carried_answer_keeps_its_time_comment_and_place_in_the_person_s_figures(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    first = desk.submit("alice", desk.lease_one("alice"), "spam", comment="as I said", seconds=7, unsure=True)
    finish(publish(desk))
    given, carried = Annotation.objects.select_related("text").order_by("pk")
    assert given.pk == first.annotation_id
    kept = ("seat_id", "person_id", "created_at", "seconds", "is_unsure", "source", "text_commitment")
    assert [getattr(carried, name) for name in kept] == [getattr(given, name) for name in kept]
    assert carried.text.comment == "as I said"
    assert (given.schema.version, carried.schema.version) == (1, 2)
    mine = own_counts(desk.cast.alice, [desk.project.pk])[desk.project.pk]
    assert (mine.n_today, mine.n_total) == (1, 1)


def test_answers_that_stand_are_left_alone(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    desk.vote("t-1", alice="none")
    version = Resolution.objects.get().version
    result = finish(publish(desk))
    assert result["carried"] == 0
    assert Annotation.objects.count() == 1
    assert Resolution.objects.get().version == version


def test_what_is_asked_again_opens_the_place_for_the_same_person_too(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="insult", bob="none")
    desk.project.refresh_from_db()
    result = finish(publish(desk))
    assert result == {"carried": 0, "asked_again": 1, "reopened": 1, "decisions": 0}
    assert queue.item_state(desk.item("t-1").pk) == "open"
    assert (desk.n_free("t-1"), desk.row("t-1").n_submitted) == (1, 1)
    assert not Offer.objects.filter(queue_row=desk.row("t-1", kind=2)).exists()
    assert_sound()
    again = desk.lease_one("alice")
    desk.submit("alice", again, "none")
    assert accepted(desk) == {"verdict": ("agreed", "none")}
    [event] = Event.objects.filter(kind="annotation.asked_again")
    assert Annotation.objects.get(pk=event.ref_id or 0).person == desk.cast.alice
    assert_sound()


def test_a_dispute_about_values_that_are_one_now_is_agreed(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    assert desk.vote("t-1", alice="spam", bob="insult") == "disputed"
    finish(publish(desk, SCAM, {"verdict": {"spam": "scam", "insult": "scam"}}))
    assert accepted(desk) == {"verdict": ("agreed", "scam")}
    assert desk.lease("rita", kind="adjudicate").leases == []
    assert_sound()


def test_a_question_that_left_has_no_label_and_no_resolution_any_more(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, schema=RICH)
    desk.vote("t-1", alice=SPAM)  # type: ignore[arg-type]
    finish(publish(desk, without("n_words"), {}))
    assert standing(desk, "t-1") == [("alice", {"verdict": "spam", "why": ["ads", "fake"], "how_bad": 4})]
    assert set(accepted(desk)) == {"verdict", "why", "how_bad"}
    assert Resolution.objects.count() == 3
    assert_sound()


def decide(desk: Desk, verdict: str, name: str = "t-1") -> None:
    adjudicate(access=desk.access("rita"), item=desk.item(name), answers={"verdict": verdict}, reason="ambiguous")


def test_a_decision_is_mapped_and_the_votes_stand_beside_it(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    decide(desk, "spam")
    result = finish(publish(desk))
    assert result["decisions"] == 0
    assert accepted(desk) == {"verdict": ("adjudicated", "scam")}
    [row] = Resolution.objects.all()
    assert row.votes == {"1": 1, "4": 1}
    assert_sound()


def test_a_decision_without_a_target_is_put_before_the_reviewers_again(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    decide(desk, "insult")
    result = finish(publish(desk))
    assert (result["decisions"], result["reopened"]) == (1, 0)
    assert accepted(desk) == {"verdict": ("disputed", None)}
    assert queue.item_state(desk.item("t-1").pk) == "disputed"
    assert_sound()
    with pytest.raises(AnswersError):
        decide(desk, "insult")
    decide(desk, "phishing")
    assert accepted(desk) == {"verdict": ("adjudicated", "phishing")}
    assert_sound()


def test_another_reviewer_is_handed_the_decision_that_is_asked_again(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    decide(desk, "insult")
    finish(publish(desk))
    lease = desk.lease_one("olga", kind="adjudicate")
    assert lease["item"] == desk.item("t-1").pk
    assert_sound()


def test_votes_of_a_decided_item_that_cannot_be_carried_ask_nobody(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="insult")
    decide(desk, "spam")
    result = finish(publish(desk))
    assert (result["asked_again"], result["reopened"]) == (1, 0)
    assert accepted(desk) == {"verdict": ("adjudicated", "scam")}
    assert desk.n_free("t-1") == 0
    assert_sound()


def test_a_decision_lacks_what_became_required(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    decide(desk, "spam")
    tone = {"name": "tone", "kind": "rating", "min": 1, "max": 5, "required": True}
    result = finish(publish(desk, {"questions": [VERDICT, tone]}, {}))
    assert result == {"carried": 0, "asked_again": 2, "reopened": 0, "decisions": 1}
    assert accepted(desk) == {"verdict": ("adjudicated", "spam"), "tone": ("disputed", None)}
    adjudicate(access=desk.access("rita"), item=desk.item("t-1"), answers={"tone": 2}, reason="ambiguous")
    assert accepted(desk)["tone"] == ("adjudicated", 2)
    assert_sound()


MARKED: dict[str, Any] = {
    "questions": [
        VERDICT,
        {"name": "marks", "kind": "spans", "required": True, "labels": [{"value": "slur"}, {"value": "name"}]},
        {"name": "why", "kind": "text", "required": True},
    ]
}
SAID: dict[str, Any] = {"marks": [{"part": "text", "start": 0, "end": 4, "label": "name"}], "why": "because"}


def test_spans_and_texts_go_along_where_another_question_breaks(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, schema=MARKED, overlap=2)
    for name in ("alice", "bob"):
        desk.label(name, {"verdict": "spam", **SAID})
    result = finish(publish(desk, {"questions": [*SCAM["questions"], *MARKED["questions"][1:]]}))
    assert result == {"carried": 2, "asked_again": 0, "reopened": 0, "decisions": 0}
    assert accepted(desk) == {
        "verdict": ("agreed", "scam"),
        "marks": ("agreed", SAID["marks"]),
        "why": ("agreed", None),
    }
    [answer, _other] = dispute_detail(desk.access("rita"), desk.item("t-1"))["answers"]
    assert answer["answers"] == {"verdict": "scam", **SAID}
    text = AnnotationText.objects.latest("pk")
    label = Label.objects.get(annotation=text.annotation_id, question=3)
    assert bytes(label.text_commitment or b"") == commit_answer(3, "because", bytes(text.salt))
    assert_sound()


def test_spans_whose_label_left_are_asked_again(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, schema=MARKED, overlap=1)
    desk.label("alice", {"verdict": "spam", **SAID})
    marks = MARKED["questions"][1]
    new = {"questions": [VERDICT, {**marks, "labels": [{"value": "slur"}]}, MARKED["questions"][2]]}
    assert finish(publish(desk, new, {}))["asked_again"] == 1
    assert desk.n_free("t-1") == 1
    assert_sound()


def test_a_decision_stands_without_the_text_that_annotators_must_write(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, schema=MARKED, overlap=2)
    desk.label("alice", {"verdict": "none", **SAID})
    desk.label("bob", {"verdict": "spam", **SAID, "marks": []})
    answers = {"verdict": "spam", "marks": SAID["marks"]}
    adjudicate(access=desk.access("rita"), item=desk.item("t-1"), answers=answers, reason="ambiguous")
    result = finish(publish(desk, {"questions": [*SCAM["questions"], *MARKED["questions"][1:]]}))
    assert result["decisions"] == 0
    assert accepted(desk)["verdict"] == ("adjudicated", "scam")
    assert accepted(desk)["marks"] == ("adjudicated", SAID["marks"])
    assert accepted(desk)["why"] == ("agreed", None)
    assert_sound()


def test_two_breaking_versions_one_after_the_other_carry_each_value_once(make_desk: MakeDesk) -> None:
    """Names that change places: a value that was carried twice would be back where it was."""
    desk = make_desk(n=2, overlap=2)
    desk.vote("t-1", alice="spam", bob="none")
    decide(desk, "spam")
    desk.vote("t-2", alice="spam", bob="spam")
    second = {"questions": [{**VERDICT, "choices": [{"value": "none"}, {"value": "spam"}]}]}
    finish(publish(desk, second, {"verdict": {"none": "spam", "spam": "none", "insult": None}}))
    assert accepted(desk, "t-2") == {"verdict": ("agreed", "none")}
    third = {
        "questions": [
            {**VERDICT, "choices": [{"value": "none"}, {"value": "spam"}, {"value": "odd"}], "required": True}
        ]
    }
    third["questions"].append({"name": "sure", "kind": "choice", "choices": [{"value": "yes"}]})
    fourth = {"questions": [{**VERDICT, "choices": [{"value": "odd"}, {"value": "spam"}]}]}
    assert publish(desk, third, {}) is None
    finish(publish(desk, fourth, {"verdict": {"none": "odd"}}))
    assert accepted(desk, "t-1") == {"verdict": ("adjudicated", "odd")}
    assert accepted(desk, "t-2") == {"verdict": ("agreed", "odd")}
    assert_sound()


@pytest.mark.parametrize("decision", ["none", "insult"])
def test_a_sealed_item_stays_closed_whatever_its_votes_say_now(make_desk: MakeDesk, decision: str) -> None:
    desk = make_desk(n=2, overlap=2)
    desk.vote("t-1", alice="insult", bob="none")
    desk.vote("t-2", alice="insult", bob="none")
    decide(desk, decision)
    for name in ("t-1", "t-2"):
        quarantine_item(item=desk.item(name), actor=desk.cast.rita)
    finish(publish(desk))
    assert Offer.objects.count() == 0
    assert desk.lease("carol").leases == []
    assert desk.lease("olga", kind="adjudicate").leases == []
    assert_sound()


def test_a_decision_under_the_new_version_is_not_carried_a_second_time(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="none", bob="spam")
    swapped = {"questions": [{**VERDICT, "choices": [{"value": "none"}, {"value": "spam"}]}]}
    job = publish(desk, swapped, {"verdict": {"none": "spam", "spam": "none", "insult": None}})
    decide(desk, "spam")
    finish(job)
    assert accepted(desk) == {"verdict": ("adjudicated", "spam")}


# The job


def test_a_job_that_was_cut_off_goes_on_and_carries_nothing_twice(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying_job, "BATCH", 1)
    desk = make_desk(n=4)
    for name in ("t-1", "t-2", "t-3", "t-4"):
        desk.vote(name, alice="spam")
        decide(desk, "spam", name)
    swapped = {"questions": [{**VERDICT, "choices": [{"value": "none"}, {"value": "spam"}]}]}
    job = publish(desk, swapped, {"verdict": {"none": "spam", "spam": "none", "insult": None}})
    assert job is not None
    claimed = claim_job(job_id=job.pk, worker="one that is killed")
    assert claimed is not None

    class Cut(RunningJob):
        """An attempt that is lost after two batches."""

        def progress(self, done: int, total: int | None = None) -> None:
            super().progress(done, total)
            if done == 2:
                raise JobLostError

    with pytest.raises(JobLostError):
        carrying_job.run_carrying(Cut(claimed))
    assert Annotation.objects.filter(schema=desk.project.schema).count() == 2
    age_heartbeat(job)
    assert finish(job) == {"carried": 4, "asked_again": 0, "reopened": 0, "decisions": 0}
    assert (job.attempt, job.done, job.total) == (2, 4, 4)
    assert Annotation.objects.filter(schema=desk.project.schema).count() == 4
    assert {accepted(desk, f"t-{n}")["verdict"] for n in range(1, 5)} == {("adjudicated", "none")}
    assert_sound()


def test_an_attempt_that_lost_the_job_writes_nothing(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    desk.vote("t-1", alice="spam")
    job = publish(desk)
    assert job is not None
    old = claim_job(job_id=job.pk, worker="one that was paused")
    assert old is not None
    age_heartbeat(job)
    assert claim_job(job_id=job.pk, worker="another one") is not None
    with pytest.raises(JobLostError):
        carrying_job.run_carrying(RunningJob(old))
    assert Annotation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_late_answer_under_the_old_version_is_carried_too(make_desk: MakeDesk) -> None:
    desk = make_desk(n=2)
    desk.vote("t-1", alice="none")
    lease = desk.lease_one("alice")
    finish(publish(desk))
    dispatch_events()
    before = Job.objects.count()
    desk.submit("alice", lease, "spam")
    dispatch_events()
    late = Job.objects.filter(kind=KIND).latest("pk")
    assert late.args == {"items": [desk.item("t-2").pk]}
    finish(late)
    assert standing(desk, "t-2") == [("alice", {"verdict": "scam"})]
    assert accepted(desk, "t-2") == {"verdict": ("agreed", "scam")}
    dispatch_events()
    assert Job.objects.count() == before + 1
    assert_sound()


@pytest.mark.django_db(transaction=True)
def test_annotations_of_an_import_that_began_under_the_old_version_are_carried(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    desk.vote("t-1", alice="none")
    given = {
        "external_id": "late",
        "text": "hello",
        "annotations": [{"annotator": "vendor", "answers": {"verdict": "spam"}}],
    }
    assert desk.project.schema is not None
    row = parse_row(given, desk.project.schema.compiled)
    # The file is read twice; between the two the new version is published, and its labels are carried.
    meanwhile: Iterator[Callable[[], Any]] = iter([lambda: None, lambda: finish(publish(desk))])

    def read() -> Iterator[Any]:
        next(meanwhile)()
        yield 1, row

    load_items(project=desk.project, read=read, actor=None, is_read_ahead=False)
    dispatch_events()
    job = Job.objects.filter(kind=KIND).latest("pk")
    assert set(job.args) == {"import"}
    finish(job)
    assert standing(desk, "late")[0][1] == {"verdict": "scam"}
    assert_sound()


def test_annotations_are_stamped_with_the_version_that_their_file_is_read_by(make_desk: MakeDesk) -> None:
    """A worker took up the import, and so read the schema; before it stored anything another one was published."""
    desk = make_desk(n=1)
    given = {"external_id": "t-2", "text": "hello", "annotations": [{"annotator": "v", "answers": {"verdict": "spam"}}]}
    folder = Path(settings.UPLOAD_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / secrets.token_hex(16)
    path.write_text(json.dumps(given))
    job = claim_job(
        job_id=start_import(project=desk.project, actor=None, path=path, name="rows.jsonl").pk, worker="test"
    )
    assert job is not None
    running = RunningJob(job)
    began_with = running.project.schema
    publish(desk)
    run_import(running)
    assert Annotation.objects.get().schema == began_with
    assert Label.objects.get().choice == 2  # spam, which the new version does not have


def test_while_labels_are_of_two_versions_nothing_is_measured_or_frozen(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=2)
    desk.vote("t-1", alice="spam", bob="spam")
    job = publish(desk)
    assert is_carrying(desk.project)
    with pytest.raises(StateError, match="carried over"):
        freeze_members(project=desk.project, query={}, job=None, actor=None)
    with pytest.raises(StateError, match="carried over"):
        publish(desk, CHOICE_SCHEMA, {"verdict": {"scam": "spam", "phishing": "spam"}})
    assert desk.project.schema is not None
    question = desk.project.schema.compiled["questions"][0]
    metrics = project_agreement(desk.project, question)["metrics"]
    assert {metric["value"] for metric in metrics} == {None}
    assert all("carried over" in metric["refusal"] for metric in metrics)
    finish(job)
    assert not is_carrying(desk.project)
    assert freeze_members(project=desk.project, query={}, job=None, actor=None).n_items == 1


def test_an_answer_that_was_carried_can_no_longer_be_taken_back(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    done = desk.label("alice", "spam")
    finish(publish(desk))
    with pytest.raises(UndoTooLateError):
        queue.undo(annotation_id=done.annotation_id, person_id=desk.cast.alice.pk)


# The interface


def test_the_api_takes_a_breaking_schema_with_its_map_and_says_which_job_carries(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    desk.vote("t-1", alice="spam")
    api = Api(desk.cast.olga)
    response = api.put("projects/forum/schema", {**SCAM, "map": TO_SCAM})
    assert response.status_code == 201
    body = response.json()
    assert (body["version"], body["change"]) == (2, "breaking")
    run_job(int(body["job"]))
    shown = api.get(f"jobs/{body['job']}").json()
    assert (shown["kind"], shown["state"], shown["result"]["carried"]) == ("schema", "done", 1)


def test_a_map_that_does_not_say_all_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    desk.vote("t-1", alice="spam")
    response = Api(desk.cast.olga).put("projects/forum/schema", {**SCAM, "map": {"verdict": {"insult": None}}})
    assert fault_of(response) == (400, "invalid_map")
    assert "spam" in response.json()["fields"]["verdict"]


def test_a_map_that_a_compatible_change_has_no_use_for_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    with pytest.raises(MapError):
        publish(desk, CHOICE_SCHEMA, {"verdict": {"spam": "none"}})


def test_whoever_publishes_second_is_told(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1)
    publish(desk)
    with pytest.raises(StateError, match="Version 2"):
        put_schema(project=desk.project, schema=CHOICE_SCHEMA, map={}, actor=desk.cast.rita, expected_version=1)
    assert QueueRow.objects.filter(state=QueueRow.State.OPEN).count() == 1
