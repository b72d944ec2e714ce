"""A model's suggestion beside the item: shown, withheld by chance or none at all; and what the difference tells."""

from __future__ import annotations

import re
from math import sqrt
from random import Random
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from annotation import queue
from annotation.actions import projects
from annotation.models import Annotation, Draw, Item, QueueLane, QueueRow, Seat, User
from annotation.serializers import show_lease
from learning.anchoring import MIN_PER_ARM, anchoring
from learning.models import ModelVersion, Score
from learning.questions import learnable_questions
from reviewers.algorithms.intervals import newcombe, wilson
from tests.api_client import Api, fault_of
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk
from tests.touched_rows import count_written, rows_read

pytestmark = pytest.mark.django_db

NONE, SHOWN, WITHHELD = Seat.Arm.NONE, Seat.Arm.SHOWN, Seat.Arm.WITHHELD
SPAM = 2
SUGGESTED = {"model": "guesser 7", "answers": {"verdict": "spam"}, "score": 0.75}


def score_all(
    desk: Desk, *, name: str = "guesser", is_current: bool = True, choice: int = SPAM, question: int = 1
) -> ModelVersion:
    """A model that says the same of every item of the project, those of the holdout too."""
    if is_current:
        ModelVersion.objects.filter(project=desk.project, question=question).update(is_current=False)
    model = ModelVersion.objects.create(
        project=desk.project,
        question=question,
        name=name,
        version="7",
        origin=ModelVersion.Origin.EXTERNAL,
        classes=[1, SPAM, 3],
        is_current=is_current,
    )
    Score.objects.bulk_create(
        Score(model_version=model, item=item, choice=choice, probability=0.75, utility=0.1)
        for item in Item.objects.filter(project=desk.project)
    )
    return model


def arms(desk: Desk) -> list[int]:
    return list(Seat.objects.filter(project=desk.project).order_by("pk").values_list("arm", flat=True))


def suggested(desk: Desk, name: str) -> Any:
    """What the next item that a person gets suggests, where chance is as in every lease of a test: it shows."""
    return show_lease(desk.lease_one(name), desk.access(name))["item"]["suggestion"]


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Sixty texts, scored; nearly every suggestion is shown."""
    desk = make_desk(n=60, overlap=2, max_held=50, suggestions=True, blind_share=0.1)
    score_all(desk)
    return desk


def withhold(desk: Desk, share: float) -> None:
    projects.change_project(project=desk.project, settings={"blind_share": share}, actor=desk.cast.olga)


# What a lease carries


def test_a_lease_carries_what_the_current_model_says_with_its_name_and_score(desk: Desk) -> None:
    raw = desk.lease_one("alice")
    (lease,) = Api(desk.cast.alice).lease()
    assert lease["item"]["suggestion"] == SUGGESTED
    assert arms(desk) == [SHOWN]
    assert desk.submit("alice", raw, "none").item_state == "open"
    assert Annotation.objects.get().labels.get().choice == 1  # the person's answer, not the model's


def test_nothing_is_suggested_unless_the_project_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk(n=3)
    score_all(desk)
    (lease,) = Api(desk.cast.alice).lease()
    assert lease["item"]["suggestion"] is None
    assert arms(desk) == [NONE]


def test_only_the_current_model_is_asked(desk: Desk) -> None:
    score_all(desk, name="newer", is_current=False)
    assert suggested(desk, "alice") == SUGGESTED
    ModelVersion.objects.update(is_current=False)
    assert suggested(desk, "bob") is None


def test_an_item_that_no_model_scored_has_no_suggestion(desk: Desk) -> None:
    Score.objects.all().delete()
    assert suggested(desk, "alice") is None
    assert arms(desk) == [NONE]


def test_several_models_are_all_named_with_the_lowest_score(make_desk: MakeDesk) -> None:
    tone = {"name": "tone", "kind": "choice", "choices": [{"value": "calm"}, {"value": "angry"}]}
    schema = {"questions": [*CHOICE_SCHEMA["questions"], tone]}
    desk = make_desk(schema=schema, suggestions=True, blind_share=0.1)
    score_all(desk)
    score_all(desk, name="listener", choice=1, question=2)
    Score.objects.filter(model_version__name="listener").update(probability=0.5)
    told = suggested(desk, "alice")
    assert told == {"model": "guesser 7, listener 7", "answers": {"verdict": "spam", "tone": "calm"}, "score": 0.5}


def test_a_choice_that_left_the_schema_is_not_suggested(desk: Desk) -> None:
    without = [{"value": "none", "key": "1"}, {"value": "insult", "key": "3"}]
    questions = [{**CHOICE_SCHEMA["questions"][0], "choices": without}]
    mapped = {"verdict": {"none": "none", "spam": None, "insult": "insult"}}
    projects.put_schema(project=desk.project, schema={"questions": questions}, map=mapped, actor=desk.cast.olga)
    assert suggested(desk, "alice") is None
    assert arms(desk) == [NONE]


def test_items_of_the_holdout_have_none(desk: Desk) -> None:
    projects.change_project(
        project=desk.project, settings={"learning": {"holdout_share": 1.0, "every": None}}, actor=desk.cast.olga
    )
    leases = Api(desk.cast.alice).lease(n=5)
    splits = Item.objects.filter(pk__in=[lease["item"]["id"] for lease in leases]).values_list("split", flat=True)
    assert set(splits) == {Item.Split.HOLDOUT}
    assert [lease["item"]["suggestion"] for lease in leases] == [None] * 5
    assert arms(desk) == [NONE] * 5


def test_what_is_drawn_for_an_audit_is_answered_without(desk: Desk) -> None:
    audit = Draw.objects.create(project=desk.project, stream=Draw.Stream.AUDIT, strategy="random")
    QueueRow.objects.update(draw=audit)
    assert suggested(desk, "alice") is None
    assert arms(desk) == [NONE]


def test_a_second_pass_is_answered_without(desk: Desk) -> None:
    first = QueueRow.objects.filter(lane__stream=QueueLane.Stream.POOL).select_related("lane")[0]
    lane = QueueLane.objects.create(project=desk.project, kind=QueueLane.Kind.RELABEL, stream=QueueLane.Stream.POOL)
    again = QueueRow.objects.create(
        project=desk.project, item=first.item, lane=lane, kind=lane.kind, pass_no=2, tiebreak=1, overlap=1
    )
    queue.put_offers(row_ids=[again.pk])
    (lease,) = Api(desk.cast.alice).lease(kind="relabel")
    assert (lease["kind"], lease["item"]["suggestion"]) == ("relabel", None)
    assert arms(desk) == [NONE]


# The arms


def test_chance_withholds_the_share_that_is_set(desk: Desk) -> None:
    withhold(desk, 0.4)
    leases = queue.lease(project_id=desk.project.pk, person_id=desk.cast.alice.pk, n=40, rng=Random(3)).leases
    found = arms(desk)
    assert set(found) == {SHOWN, WITHHELD}
    assert abs(found.count(WITHHELD) - 16) < 4 * sqrt(40 * 0.4 * 0.6)
    assert [raw["suggestion"] is None for raw in leases] == [arm == WITHHELD for arm in found]


def test_the_arm_does_not_depend_on_where_the_item_comes_from(desk: Desk) -> None:
    """One chance for both would withhold all suggestions on what a share of the holdout leaves to the pool, or none."""
    withhold(desk, 0.5)
    projects.change_project(
        project=desk.project, settings={"learning": {"holdout_share": 0.5, "every": None}}, actor=desk.cast.olga
    )
    queue.lease(project_id=desk.project.pk, person_id=desk.cast.alice.pk, n=30, rng=Random(3))
    assert {SHOWN, WITHHELD} <= set(arms(desk))


def test_an_arm_belongs_to_a_place_and_not_to_an_item(desk: Desk) -> None:
    withhold(desk, 1.0)
    desk.lease("alice", 3)
    withhold(desk, 0.1)
    desk.lease("bob", 3)
    assert arms(desk) == [WITHHELD] * 3 + [SHOWN] * 3
    assert Seat.objects.values("item").distinct().count() == 3


@pytest.mark.parametrize(("share", "arm", "told"), [(1.0, WITHHELD, None), (0.1, SHOWN, SUGGESTED)])
def test_a_place_keeps_its_arm_and_its_suggestion(desk: Desk, share: float, arm: int, told: dict[str, Any]) -> None:
    withhold(desk, share)
    api = Api(desk.cast.alice)
    desk.lease_one("alice")
    (lease,) = api.lease()
    withhold(desk, 1.1 - share)
    score_all(desk, name="newer", choice=3)
    assert api.post(f"leases/{lease['id']}/renew").json()["item"]["suggestion"] == told
    api.delete(f"leases/{lease['id']}")
    (again,) = api.lease()
    assert (again["item"]["id"], again["item"]["suggestion"]) == (lease["item"]["id"], told)
    answered = api.answer(again["id"]).json()["annotation"]
    assert api.post(f"annotations/{answered}/undo").json()["lease"]["item"]["suggestion"] == told
    assert arms(desk) == [arm]


def test_a_place_without_a_suggestion_gets_an_arm_once_there_is_one(desk: Desk) -> None:
    Score.objects.all().delete()
    api = Api(desk.cast.alice)
    (lease,) = api.lease()
    api.delete(f"leases/{lease['id']}")
    score_all(desk, name="newer")
    assert suggested(desk, "alice") == {**SUGGESTED, "model": "newer 7"}
    assert arms(desk) == [SHOWN]


def test_the_database_refuses_an_arm_without_a_suggestion(desk: Desk) -> None:
    desk.lease_one("alice")
    with pytest.raises(IntegrityError, match="seat_arm_has_suggestion"), transaction.atomic():
        Seat.objects.update(suggestion=None)


def test_withheld_items_and_those_of_the_holdout_look_the_same_in_every_byte(desk: Desk) -> None:
    withhold(desk, 1.0)
    seen = []
    for share in (0.0, 1.0):
        projects.change_project(
            project=desk.project, settings={"learning": {"holdout_share": share, "every": None}}, actor=desk.cast.olga
        )
        api = Api(desk.cast.alice)
        leased = api.post("projects/forum/leases", {"n": 1})
        (lease,) = leased.json()["leases"]
        told = [leased, api.get("projects/forum/leases"), api.post(f"leases/{lease['id']}/renew")]
        told.append(api.answer(lease["id"], key=f"key-{share}"))
        seen.append([re.sub(r"\d+", "#", response.content.decode()) for response in told])
    assert arms(desk) == [WITHHELD, NONE]
    assert seen[0] == seen[1]


# What it costs


def test_a_submit_with_a_suggestion_on_the_next_lease_writes_seven_rows(desk: Desk) -> None:
    raw = desk.lease_one("alice")

    before = count_written()
    (following,) = desk.submit("alice", raw, lease_next=1).leases
    assert count_written() - before == 7
    assert following["suggestion"]


@pytest.mark.parametrize("is_on", [False, True])
def test_a_claim_reads_scores_only_where_they_are_shown_and_then_one_for_each_model(desk: Desk, is_on: bool) -> None:
    projects.change_project(project=desk.project, settings={"suggestions": is_on}, actor=desk.cast.olga)
    score_all(desk, name="older", is_current=False)
    with connection.cursor() as cursor:
        cursor.execute("analyze")
    desk.lease_one("alice")  # the plans of this connection
    before = rows_read()
    desk.lease("alice", 2)
    read = rows_read() - before
    assert read["learning_score"] == int(is_on)
    assert max(read.values()) > 0


# The settings


@pytest.mark.parametrize("share", [0.0, 0.09])
def test_suggestions_are_not_shown_on_every_item(make_desk: MakeDesk, share: float) -> None:
    """Otherwise an item without one would be known for one of the holdout."""
    desk = make_desk()
    api = Api(desk.cast.olga)
    response = api.patch("projects/forum", {"suggestions": True, "blind_share": share})
    assert fault_of(response) == (400, "invalid")
    assert "0.1" in response.json()["fields"]["blind_share"]
    assert api.patch("projects/forum", {"suggestions": True, "blind_share": 0.1}).status_code == 200
    assert fault_of(api.patch("projects/forum", {"blind_share": share})) == (400, "invalid")
    assert api.patch("projects/forum", {"lease_seconds": 60}).status_code == 200
    assert api.patch("projects/forum", {"suggestions": False, "blind_share": share}).status_code == 200


def test_the_owner_turns_suggestions_on_by_form(make_desk: MakeDesk) -> None:
    desk = make_desk()
    client = Client()
    client.force_login(desk.cast.olga, backend="django.contrib.auth.backends.ModelBackend")
    fields = client.get("/p/forum/settings/").context["form"]
    sent = {
        name: fields[name].value()
        for name in fields.fields
        if fields[name].value() is not None and fields[name].value() is not False
    }
    refused = client.post("/p/forum/settings/", {**sent, "suggestions": "on", "blind_share": "0"})
    assert (refused.status_code, list(refused.context["form"].errors)) == (400, ["blind_share"])
    assert client.post("/p/forum/settings/", {**sent, "suggestions": "on", "blind_share": "0.2"}).status_code == 302
    desk.project.refresh_from_db()
    assert (desk.project.suggestions, desk.project.blind_share) == (True, 0.2)


# How far people follow it


def answer_all(desk: Desk, name: str, like: dict[int, list[str]], n: int = 1000) -> dict[int, list[str]]:
    """Answer what can be leased, in each arm by the verdicts listed for it, in turn. Returns what was answered."""
    answered: dict[int, list[str]] = {SHOWN: [], WITHHELD: [], NONE: []}
    rng = Random(11)
    for _ in range(n):
        leases = queue.lease(project_id=desk.project.pk, person_id=desk.cast[name].pk, n=1, rng=rng).leases
        if not leases:
            break
        arm = Seat.objects.get(pk=leases[0]["seat"]).arm
        verdicts = like.get(arm, ["none"])
        verdict = verdicts[len(answered[arm]) % len(verdicts)]
        desk.submit(name, leases[0], verdict)
        answered[arm].append(verdict)
    return answered


def figures(desk: Desk) -> dict[str, dict[str, Any]]:
    found = anchoring(desk.project, learnable_questions(desk.project)[0])
    return {figure["metric"]: figure for figure in found["metrics"]}


def test_the_difference_between_the_arms_is_told_with_its_interval(make_desk: MakeDesk) -> None:
    desk = make_desk(n=120, suggestions=True, blind_share=0.5)
    score_all(desk)
    answered = answer_all(desk, "alice", {SHOWN: ["spam", "spam", "spam", "none"], WITHHELD: ["spam", "none"]})
    n1, n2 = len(answered[SHOWN]), len(answered[WITHHELD])
    k1, k2 = answered[SHOWN].count("spam"), answered[WITHHELD].count("spam")
    assert min(n1, n2) >= MIN_PER_ARM
    found = figures(desk)
    assert found["anchoring"]["value"] == pytest.approx(k1 / n1 - k2 / n2)
    assert found["anchoring"]["interval"] == pytest.approx(list(newcombe(k1, n1, k2, n2)))
    assert (found["anchoring"]["n_items"], found["anchoring"]["n_labels"]) == (n1 + n2, n1 + n2)
    assert found["anchoring"]["n_annotators"] == 1
    assert found["agreement_shown"]["value"] == pytest.approx(k1 / n1)
    assert found["agreement_withheld"]["interval"] == pytest.approx(list(wilson(k2, n2)))
    assert len(answered[NONE]) == Item.objects.filter(split=Item.Split.HOLDOUT).count()  # in neither arm


def test_few_answers_are_a_named_refusal(desk: Desk) -> None:
    answer_all(desk, "alice", {}, n=5)
    found = figures(desk)
    n_shown, n_withheld = arms(desk).count(SHOWN), arms(desk).count(WITHHELD)
    assert found["anchoring"]["value"] is None
    assert found["anchoring"]["refusal"] == (
        f"{n_shown} answers with the suggestion shown and {n_withheld} with it withheld, 30 each needed"
    )
    assert found["agreement_shown"]["refusal"] == f"{n_shown} answers so far, 30 needed"


def test_an_answer_taken_back_and_a_simulated_one_are_in_no_arm(desk: Desk) -> None:
    _kept, undone = (desk.label("alice") for _ in range(2))
    queue.undo(annotation_id=undone.annotation_id, person_id=desk.cast.alice.pk)
    desk.cast.bob.kind = User.Kind.SIMULATED
    desk.label("bob")
    assert Annotation.objects.filter(source=Annotation.Source.SIMULATED).count() == 1
    assert figures(desk)["anchoring"]["n_labels"] == 1


def test_the_engineer_finds_the_figure_in_the_api_and_on_the_learning_page(desk: Desk, make_desk: MakeDesk) -> None:
    answer_all(desk, "alice", {}, n=3)
    told = Api(desk.cast.enzo).get("projects/forum/anchoring").json()
    assert told["question"] == "verdict"
    assert [metric["metric"] for metric in told["metrics"]] == ["anchoring", "agreement_shown", "agreement_withheld"]
    assert fault_of(Api(desk.cast.enzo).get("projects/forum/anchoring?question=nobody")) == (400, "invalid")
    client = Client()
    client.force_login(desk.cast.enzo, backend="django.contrib.auth.backends.ModelBackend")
    assert "30 each needed" in client.get("/p/forum/learning/").content.decode()
    quiet = make_desk(slug="quiet")
    assert "suggestions do to answers" not in client.get(f"/p/{quiet.project.slug}/learning/").content.decode()
