"""The posterior rule on a real database: who is known to be good is believed sooner, and nobody is asked in vain."""

from __future__ import annotations

import pytest
from django.db import connection

from annotation import queue
from annotation.actions.items import quarantine_item
from annotation.actions.jobs import claim_job, retry_job
from annotation.actions.projects import change_project, put_schema
from annotation.audit import find_violations
from annotation.errors import StateError
from annotation.jobs import JobFailedError, JobLostError, RunningJob
from annotation.models import Event, Job, Project, QueueRow
from reviewers.actions.adjudication import adjudicate
from reviewers.actions.consensus import LEAST_NEW, start_fit
from reviewers.algorithms.posterior import weigh
from reviewers.consensus.weighing import find_outdated, load_crowd, skills_of, weighed_questions
from reviewers.consumers import read_new_answers
from reviewers.job_kinds import consensus as consensus_jobs
from reviewers.job_kinds.consensus import run_fit
from reviewers.models import ConsensusAnnotator, ConsensusFit, ConsensusWatch, Resolution
from reviewers.reports import resolution_rows
from tests.api_client import Api
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk, import_rows
from tests.posterior_desk import PEOPLE, POSTERIOR, VALUES, fit, know, make_known_desk, past_rows, state_of
from tests.test_pages_project import as_person
from tests.touched_rows import rows_read

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Two good annotators, one who guesses, and four items that nobody has seen."""
    return make_known_desk(make_desk)


def resolution(desk: Desk, name: str) -> Resolution:
    return Resolution.objects.get(item=desk.item(name))


def test_two_good_annotators_settle_an_item(desk: Desk) -> None:
    assert desk.vote("t-1", alice="spam", bob="spam") == "agreed"
    row = resolution(desk, "t-1")
    assert (row.method, row.votes, row.n_votes) == ("dawid_skene", {"2": 2}, 2)
    assert row.choice == 2
    assert row.confidence is not None
    assert row.confidence > 0.99
    assert row.posterior is not None
    assert row.posterior["2"] == pytest.approx(row.confidence, abs=1e-6)
    assert state_of(desk, "t-1") == ("agreed", 2, 2)


def test_one_more_is_asked_while_the_answers_tell_too_little(desk: Desk) -> None:
    Project.objects.update(rule={**POSTERIOR, "threshold": 0.9})
    assert desk.vote("t-1", alice="spam", bob="none") == "open"
    assert (state_of(desk, "t-1"), desk.n_free("t-1")) == (("open", 2, 3), 1)
    assert desk.vote("t-1", carol="spam") == "open"
    assert state_of(desk, "t-1") == ("open", 3, 4)
    assert desk.vote("t-1", rita="spam") == "agreed"  # a stranger counts as all do together


def test_one_good_answer_weighs_more_than_two_guesses(desk: Desk) -> None:
    know(desk, alice=0.95, bob=0.5, carol=0.5)
    assert desk.vote("t-1", bob="spam", carol="spam") == "open"
    desk.vote("t-1", alice="none")
    rows, _next = resolution_rows(desk.project, state="open", limit=500)
    row = next(row for row in rows if row["item"]["external_id"] == "t-1")
    assert row["votes"] == {"spam": 2, "none": 1}
    assert row["posterior"]["none"] > 0.8
    assert row["confidence"] is None


def test_what_stays_unsure_up_to_the_maximum_is_disputed(desk: Desk) -> None:
    know(desk, alice=1 / 3, bob=1 / 3, carol=1 / 3)
    ConsensusFit.objects.update(stranger=[-1.0] * 9)
    assert desk.vote("t-1", alice="spam", bob="spam", carol="spam", rita="spam") == "disputed"
    row = resolution(desk, "t-1")
    assert (row.choice, row.confidence, row.method, row.votes) == (None, None, "dawid_skene", {"2": 4})
    assert desk.row("t-1", kind=2).is_closed is False


def test_every_stored_item_is_weighed_as_the_arrays_weigh_it(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="none", carol="insult", rita="insult")
    (question,) = weighed_questions(desk.project.schema.compiled)  # type: ignore[union-attr]
    labels, found = load_crowd(desk.project, question), ConsensusFit.objects.get(is_current=True)
    skills = skills_of(found)
    assert skills is not None
    expected = weigh(labels, skills)
    with connection.cursor() as cursor:
        cursor.execute(
            "select q.item_id, w.best, w.confidence from annotation_queuerow q"
            " cross join lateral reviewers_weigh(q.id, q.project_id, 1::smallint) w"
            " where q.n_submitted > 0 order by q.item_id"
        )
        rows = cursor.fetchall()
    assert [item for item, _best, _confidence in rows] == labels.item_ids.tolist()
    assert [best for _item, best, _confidence in rows] == [found.values[at] for at in expected.argmax(axis=1)]
    assert [confidence for *_rest, confidence in rows] == pytest.approx(expected.max(axis=1).tolist(), abs=1e-12)


def test_a_fit_says_what_was_found_and_settles_what_comes_out_otherwise(make_desk: MakeDesk) -> None:
    desk = make_desk(rows=past_rows(), overlap={"min": 2, "max": 4}, rule=POSTERIOR)
    before = {row.item_id: (row.state, row.choice) for row in Resolution.objects.all()}
    assert set(Resolution.objects.values_list("method", flat=True)) == {"majority"}
    result = fit(desk)
    found = ConsensusFit.objects.get()
    assert result["fits"] == [
        {"question": "verdict", "number": 1, "method": "dawid_skene", "reason": "the project names it"}
    ]
    assert (found.n_items, found.n_labels, found.n_annotators, found.is_current) == (60, 180, 3, True)
    accuracy = {row.person.shown_name: row.accuracy for row in found.annotators.select_related("person")}
    assert min(accuracy["alice"], accuracy["bob"]) > 0.85
    assert 0.4 < accuracy["carol"] < 0.65
    assert {row.method for row in Resolution.objects.all() if row.state == 1} == {"dawid_skene"}
    after = {row.item_id: (row.state, row.choice) for row in Resolution.objects.all()}
    assert result["changed"] == sum(after[item][0] != state for item, (state, _choice) in before.items())
    (question,) = weighed_questions(desk.project.schema.compiled)  # type: ignore[union-attr]
    assert find_outdated(desk.project, found, load_crowd(desk.project, question)) == []
    assert find_violations() == {}


def test_a_second_fit_of_the_same_answers_changes_nothing(desk: Desk) -> None:
    fit(desk)
    before = list(Resolution.objects.order_by("pk").values())
    fit(desk)
    assert list(Resolution.objects.order_by("pk").values()) == before
    assert ConsensusFit.objects.filter(is_current=True).get().number == 3
    assert set(ConsensusAnnotator.objects.values_list("fit__number", flat=True)) == {2, 3}


def test_an_item_that_another_fit_is_not_sure_of_is_asked_about_again(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="spam")
    know(desk, alice=0.6, bob=0.6)
    _settle(desk, "t-1")
    assert (state_of(desk, "t-1"), desk.n_free("t-1")) == (("open", 2, 3), 1)


def test_an_item_that_another_fit_is_sure_of_wants_no_further_place(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="none")
    know(desk, alice=0.99, bob=0.5)
    _settle(desk, "t-1")
    assert (state_of(desk, "t-1"), desk.n_free("t-1")) == (("agreed", 2, 2), 0)
    assert find_violations() == {}


def test_a_place_that_somebody_holds_stays_theirs_when_the_item_is_settled(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="none")
    queue.set_ranks(project_id=desk.project.pk, priorities={desk.item("t-1").pk: 9.0}, draw_id=None)
    held = desk.lease_one("carol")
    assert held["item"] == desk.item("t-1").pk
    know(desk, alice=0.99, bob=0.5)
    _settle(desk, "t-1")
    assert state_of(desk, "t-1") == ("agreed", 2, 3)
    queue.release(seat_id=held["seat"], generation=held["generation"], person_id=desk.cast.carol.pk)
    assert (state_of(desk, "t-1"), desk.n_free("t-1")) == (("agreed", 2, 2), 0)
    assert find_violations() == {}


def test_what_a_reviewer_decided_stays_and_counts_as_known(desk: Desk) -> None:
    item = desk.item("p-1")
    adjudicate(access=desk.access("rita"), item=item, answers={"verdict": "insult"}, reason="other")
    fit(desk)
    assert (resolution(desk, "p-1").choice, resolution(desk, "p-1").method) == (3, "adjudication")
    assert ConsensusFit.objects.get(is_current=True).n_known == 1


def test_gold_labels_that_came_along_show_who_is_wrong_with_the_others(make_desk: MakeDesk) -> None:
    """Two of three call most insults spam: the vote follows them, and so does a fit that knows no better."""
    said = {"none": "none", "spam": "spam", "insult": "spam"}
    rows = []
    for i in range(90):
        truth = VALUES[i % 3]
        answers = {"ann": truth, "ben": said[truth], "cat": said[truth]}
        given = [{"annotator": name, "answers": {"verdict": value}} for name, value in answers.items()]
        known = {"gold": {"verdict": truth}} if i < 45 else {}
        rows.append({"external_id": f"g-{i}", "text": "x", "annotations": given, **known})
    desk = make_desk(rows=rows, overlap={"min": 2, "max": 4}, rule={**POSTERIOR, "threshold": 0.8})
    assert {resolution(desk, f"g-{i}").choice for i in range(47, 90, 3)} == {2}
    fit(desk)
    assert ConsensusFit.objects.get().n_known == 45
    assert {resolution(desk, f"g-{i}").choice for i in range(47, 90, 3)} == {3}


def test_few_answers_are_put_to_the_vote(make_desk: MakeDesk) -> None:
    desk = make_desk(3, overlap={"min": 2, "max": 3}, rule=POSTERIOR)
    assert desk.vote("t-1", alice="spam", bob="spam") == "agreed"
    result = fit(desk)
    assert result["fits"][0]["reason"] == "1 items have two answers or are known, 50 are needed"
    assert desk.vote("t-2", alice="spam", bob="none", carol="none") == "agreed"
    assert {row.method for row in Resolution.objects.all()} == {"majority"}


def test_a_choice_that_came_since_is_put_to_the_vote_until_the_next_fit(desk: Desk) -> None:
    (question,) = CHOICE_SCHEMA["questions"]
    schema = {"questions": [question | {"choices": [*question["choices"], {"value": "scam"}]}]}
    put_schema(project=desk.project, schema=schema, map=None, actor=desk.cast.olga)
    assert desk.vote("t-1", alice="scam", bob="scam") == "agreed"
    assert resolution(desk, "t-1").method == "majority"


def test_other_kinds_are_put_to_the_vote(make_desk: MakeDesk) -> None:
    schema = {"questions": [{"name": "tags", "kind": "choices", "choices": [{"value": "a"}, {"value": "b"}]}]}
    desk = make_desk(1, schema, overlap={"min": 2, "max": 3}, rule=POSTERIOR)
    assert desk.vote("t-1", alice={"tags": ["a"]}, bob={"tags": ["a"]}) == "agreed"  # type: ignore[arg-type]
    with pytest.raises(JobFailedError, match="No question here can be weighed"):
        fit(desk)


def test_an_attempt_that_was_cut_off_goes_on_with_its_fit(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk(rows=past_rows(), overlap={"min": 2, "max": 4}, rule=POSTERIOR)
    job = start_fit(project=desk.project, actor=None)
    first = claim_job(job_id=job.pk, worker="one")
    assert first is not None
    with monkeypatch.context() as patched:
        patched.setattr(consensus_jobs, "settle_items", _fail)
        with pytest.raises(RuntimeError):
            run_fit(RunningJob(first))
    retry_job(job_id=job.pk, attempt=1, error="", delay_seconds=0)
    second = claim_job(job_id=job.pk, worker="two")
    assert second is not None
    with pytest.raises(JobLostError):
        run_fit(RunningJob(first))
    run_fit(RunningJob(second))
    assert ConsensusFit.objects.count() == 1
    assert {row.method for row in Resolution.objects.all() if row.state == 1} == {"dawid_skene"}


def _fail(*_arguments: object) -> None:
    raise RuntimeError


def test_enough_new_answers_start_one_fit(desk: Desk) -> None:
    Job.objects.all().delete()
    read_new_answers([_submitted(desk)] * (LEAST_NEW - 1))
    assert not Job.objects.filter(kind="consensus").exists()
    read_new_answers([_submitted(desk)])
    read_new_answers([_submitted(desk)])
    assert Job.objects.filter(kind="consensus").count() == 1
    fit(desk)
    assert ConsensusWatch.objects.get().n_new == 0


def test_under_another_rule_answers_start_no_fit(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    read_new_answers([_submitted(desk)] * 500)
    assert not Job.objects.filter(kind="consensus").exists()


def test_where_nothing_can_be_weighed_answers_start_no_fit(make_desk: MakeDesk) -> None:
    schema = {"questions": [{"name": "why", "kind": "text", "required": True}]}
    desk = make_desk(1, schema, overlap=2, rule=POSTERIOR)
    read_new_answers([_submitted(desk)] * 500)
    assert not Job.objects.filter(kind="consensus").exists()


def test_a_fit_that_fails_is_not_asked_for_again_at_once(desk: Desk) -> None:
    read_new_answers([_submitted(desk)] * LEAST_NEW)
    Job.objects.filter(kind="consensus").update(state="failed")
    read_new_answers([_submitted(desk)])
    assert not Job.objects.filter(kind="consensus", state="queued").exists()


def _submitted(desk: Desk) -> Event:
    return Event(project=desk.project, kind="annotation.submitted", data=None)


def test_a_project_that_becomes_posterior_is_fitted_at_once(make_desk: MakeDesk) -> None:
    desk = make_desk(1, overlap=2)
    change_project(project=desk.project, settings={"rule": POSTERIOR}, actor=desk.cast.olga)
    read_new_answers(list(Event.objects.filter(kind="project.changed")))
    assert sorted(Job.objects.exclude(kind="import").values_list("kind", flat=True)) == ["consensus", "rule"]


def test_labels_that_were_carried_to_other_values_are_fitted_anew(desk: Desk) -> None:
    Job.objects.all().delete()
    read_new_answers([Event(project=desk.project, kind="job.finished", data={"kind": "round"})])
    assert not Job.objects.filter(kind="consensus").exists()
    read_new_answers([Event(project=desk.project, kind="job.finished", data={"kind": "schema"})])
    assert Job.objects.filter(kind="consensus").count() == 1


def test_a_reviewer_sees_how_likely_each_answer_is(desk: Desk) -> None:
    Project.objects.update(overlap_max=2)
    assert desk.vote("t-1", alice="spam", bob="none") == "disputed"
    html = as_person(desk.cast.rita).get(f"/p/forum/disputes/{desk.item('t-1').pk}/").content.decode()
    assert "By what is known of these annotators: " in html


def test_an_archived_project_is_not_fitted(desk: Desk) -> None:
    Project.objects.update(state="archived")
    with pytest.raises(StateError):
        start_fit(project=Project.objects.get(), actor=None)


def test_sealed_items_stay_closed_whatever_a_fit_says(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="none")
    quarantine_item(item=desk.item("t-1"), actor=desk.cast.rita)
    know(desk, alice=0.99, bob=0.5)
    fit(desk)
    assert desk.row("t-1").is_closed
    assert desk.n_free("t-1") == 0


def test_the_api_says_what_a_fit_chose_and_why(desk: Desk) -> None:
    report = Api(desk.cast.enzo).get("projects/forum/consensus").json()
    assert report["rule"] == POSTERIOR
    (one,) = report["questions"]
    assert (one["question"], one["fit"]["method"], one["fit"]["number"]) == ("verdict", "dawid_skene", 1)
    assert (one["fit"]["n_items"], one["fit"]["n_annotators"]) == (60, len(PEOPLE))
    started = Api(desk.cast.olga).post("projects/forum/consensus", {})
    assert started.status_code == 202
    assert Job.objects.get(pk=started.json()["job"]).kind == "consensus"


def test_resolutions_carry_posterior_and_method(desk: Desk) -> None:
    desk.vote("t-1", alice="spam", bob="spam")
    rows = Api(desk.cast.enzo).get("projects/forum/resolutions?state=agreed&limit=500").json()["results"]
    row = next(row for row in rows if row["item"]["external_id"] == "t-1")
    assert (row["value"], row["method"], row["votes"]) == ("spam", "dawid_skene", {"spam": 2})
    assert row["confidence"] == pytest.approx(row["posterior"]["spam"], abs=1e-6)
    assert next(iter(row["posterior"])) == "spam"


def _settle(desk: Desk, name: str) -> None:
    queue.settle(row_ids=[QueueRow.objects.get(pk=desk.row(name).pk).pk])


def test_a_submit_reads_the_voters_tables_alone(desk: Desk) -> None:
    """Whatever the tables were like when its plans were made, and however many annotators a fit knows."""
    with connection.cursor() as cursor:
        cursor.execute("analyze")
    desk.vote("t-1", alice="spam", bob="spam")  # the plans of this connection
    given = [
        [{"annotator": f"ann-{(i + k) % 40}", "answers": {"verdict": VALUES[i % 3]}} for k in range(2)]
        for i in range(600)
    ]
    rows = [{"external_id": f"a-{i}", "text": "x", "annotations": said} for i, said in enumerate(given)]
    import_rows(desk.project, rows)
    fit(desk)
    assert ConsensusFit.objects.get(is_current=True).n_annotators == 45
    know(desk, alice=0.98, bob=0.98)
    queue.set_ranks(project_id=desk.project.pk, priorities={desk.item("t-2").pk: 9.0}, draw_id=None)
    desk.submit("alice", desk.lease_one("alice"), "spam")
    raw = desk.lease_one("bob")
    before = rows_read()
    assert desk.submit("bob", raw, "spam").item_state == "agreed"
    read = rows_read() - before
    assert {name: n for name, n in read.items() if n > 40} == {}
    assert read["reviewers_consensusfit"] == 1
