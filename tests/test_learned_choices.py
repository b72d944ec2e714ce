"""Questions of which several choices may hold go round the whole loop: one model against the rest for each choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation.actions import projects
from annotation.errors import InvalidError
from annotation.jobs import run_job
from annotation.models import Annotation, Item, Seat
from annotation.serializers import show_lease
from annotation.settings import STRATEGIES
from learning.anchoring import anchoring
from learning.loading import align_proba, load_training
from learning.models import ModelVersion, Score
from learning.questions import classes_of, default_question, learnable_questions, require_question
from learning.scoring import unpack_model
from reviewers.consensus.voters import names_of
from reviewers.models import Resolution
from tests.api_client import Api
from tests.cast import CHOICE_SCHEMA, Desk, MakeDesk
from tests.learning_rows import add, empty_desk, play, send_predictions
from tests.test_pages_project import as_person

TAGS: dict[str, Any] = {
    "name": "verdict",
    "kind": "choices",
    "text": "What is in it?",
    "required": False,
    "choices": [{"value": "spam", "text": "Spam"}, {"value": "rude"}, {"value": "loud"}],
}
SPAM, RUDE, LOUD, BOTH, NOTHING = "buy cheap pills", "you are stupid", "shouting noise", "buy stupid pills", "good day"
SETS = {SPAM: ["spam"], RUDE: ["rude"], BOTH: ["spam", "rude"], NOTHING: []}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    """Folders of its own for each test: project numbers come again."""
    settings.MODEL_DIR = tmp_path / "models"
    settings.FEATURE_DIR = tmp_path / "features"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.UPLOAD_DIR.mkdir()


def tag_desk(make_desk: MakeDesk, tags: dict[str, Any] = TAGS, **options: Any) -> Desk:
    return empty_desk(make_desk, schema={"questions": [tags]}, **options)


def teach(desk: Desk, n: int = 6, split: int = Item.Split.POOL, prefix: str = "p") -> None:
    """Settle `n` items of each of four sets: two choices, both, none."""
    for at, (text, chosen) in enumerate(SETS.items()):
        add(desk, n, text, f"{prefix}{at}", chosen, split)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """Twenty-four tagged texts and two open ones of each sort."""
    desk = tag_desk(make_desk)
    teach(desk)
    for at, text in enumerate(SETS):
        add(desk, 2, text, f"open{at}")
    return desk


def open_names(desk: Desk) -> list[str]:
    found = Item.objects.filter(project=desk.project, external_id__startswith="open").order_by("external_id")
    return list(found.values_list("external_id", flat=True))


# Which questions, and their labels


def test_a_set_of_choices_can_be_learned_and_changes_no_default(make_desk: MakeDesk) -> None:
    desk = make_desk(schema={"questions": [{**TAGS, "name": "tags"}, *CHOICE_SCHEMA["questions"]]})
    assert [question["name"] for question in learnable_questions(desk.project)] == ["tags", "verdict"]
    assert (default_question(desk.project) or {})["name"] == "verdict"


def test_too_many_choices_are_refused_with_a_sentence(make_desk: MakeDesk) -> None:
    many = [{"value": f"v{i}"} for i in range(61)]
    desk = make_desk(schema={"questions": [{**TAGS, "choices": many}]})
    with pytest.raises(InvalidError) as refused:
        require_question(desk.project, "verdict")
    told = '"verdict" has 61 choices of which several may hold: a model can learn at most 60.'
    assert (refused.value.fields or {})["question"] == told
    assert (
        "any number of choices out of at most 60"
        in as_person(desk.cast.enzo).get("/p/forum/learning/").content.decode()
    )


def test_labels_are_a_table_and_none_of_them_is_a_label(desk: Desk) -> None:
    (question,) = learnable_questions(desk.project)
    training = load_training(desk.project, question)
    names = dict(Item.objects.values_list("pk", "external_id"))
    told = {
        (names[item][:2], tuple(row)) for item, row in zip(training.items.tolist(), training.y.tolist(), strict=True)
    }
    assert told == {("p0", (1, 0, 0)), ("p1", (0, 1, 0)), ("p2", (1, 1, 0)), ("p3", (0, 0, 0))}


def test_a_choice_that_left_takes_nothing_from_the_others() -> None:
    proba = np.array([[0.9, 0.8, 0.3]])
    assert align_proba(proba, [1, 2, 3], [3, 1, 4], is_several=True).tolist() == [[0.3, 0.9, 0.0]]


# A round


def test_a_round_learns_each_choice_by_itself(desk: Desk) -> None:
    round_ = play(desk, batch=2)
    model = round_.model_version
    assert model is not None
    assert (model.kind, model.classes, model.n_train) == ("choices", [1, 2, 3], 24)
    said = Score.objects.filter(model_version=model).values_list("item__external_id", "choices", "probability")
    assert {(name[:5], tuple(held or ())) for name, held, _p in said} == {
        ("open0", (1,)),
        ("open1", (2,)),
        ("open2", (1, 2)),
        ("open3", ()),
    }
    assert all(0.5 <= p <= 1 for _name, _held, p in said)
    _features, fitted = unpack_model(model)
    assert fitted.classes.tolist() == [0, 1]  # nothing was loud, so nothing tells it
    assert round_.n_selected == 2


def test_the_choice_that_is_least_sure_says_what_is_asked(desk: Desk) -> None:
    (doubtful,) = add(desk, 1, "buy cheap good pills day", "open9")
    round_ = play(desk, batch=1, random_share=0, strategy="margin")
    assert round_.draw is not None
    score = Score.objects.get(item=doubtful, model_version=round_.model_version)
    assert list(round_.draw.items.values_list("item", flat=True)) == [doubtful]
    assert score.utility == pytest.approx(2 * (1 - score.probability))


def test_every_other_strategy_serves_sets_of_choices(desk: Desk) -> None:
    for strategy in STRATEGIES:
        round_ = play(desk, batch=3, strategy=strategy, train=strategy in (STRATEGIES[0], "vote_entropy"))
        is_other = strategy in ("rare", "vote_entropy", "consensus_entropy")
        assert (strategy, round_.n_selected, "chosen by margin" in round_.note) == (strategy, 3, is_other)


def test_the_rare_strategy_says_that_it_does_not_fit(desk: Desk) -> None:
    round_ = play(desk, batch=3, strategy="rare")
    assert round_.n_selected == 3
    assert "this batch was chosen by margin" in round_.note
    assert round_.draw is not None
    assert round_.draw.strategy == "margin"


def test_items_that_are_all_alike_teach_nothing_and_the_note_says_so(make_desk: MakeDesk) -> None:
    desk = tag_desk(make_desk)
    add(desk, 8, SPAM, "p", ["spam"])
    add(desk, 4, SPAM, "open")
    round_ = play(desk, batch=2)
    assert round_.model_version is None
    assert "all items have the same choices" in round_.note


def test_a_model_of_sets_is_judged_choice_by_choice_and_beside_the_last(desk: Desk) -> None:
    teach(desk, 30, Item.Split.HOLDOUT, "h")
    first = play(desk, batch=2).model_version
    assert first is not None
    figures = first.evaluation or {}
    by_name = {figure["metric"]: figure for figure in figures["metrics"]}
    assert by_name["macro_f1"]["value"] == by_name["accuracy"]["value"] == 1
    assert (by_name["macro_f1"]["n_items"], by_name["macro_f1"]["drawn"]) == (120, "holdout")
    assert [(one["choice"], one["n_items"], one["f1"]) for one in figures["classes"]] == [
        ("spam", 60, 1.0),
        ("rude", 60, 1.0),
        ("loud", 0, None),
    ]
    assert figures["confusion"] == []
    add(desk, 30, SPAM, "wrong", [])
    add(desk, 30, NOTHING, "wrongs", ["spam"])
    second = play(desk, batch=2)
    assert second.model_version == first
    assert "touchstone-logistic 2 is not used" in second.note
    html = as_person(desk.cast.enzo).get("/p/forum/learning/").content.decode()
    assert "F1 by answer" in html
    assert "What it takes for what" not in html


def test_choices_are_doubted_one_by_one(make_desk: MakeDesk) -> None:
    desk = tag_desk(make_desk)
    teach(desk, 30)
    (lacking,) = add(desk, 1, BOTH, "lacks", ["spam"])
    (extra,) = add(desk, 1, NOTHING, "extra", ["rude"])
    (empty,) = add(desk, 1, SPAM, "empty", [])
    enzo = Api(desk.cast.enzo)
    run_job(int(enzo.post("projects/forum/label-errors", {}).json()["job"]), heartbeat_seconds=600)
    found = enzo.get("projects/forum/label-errors").json()["doubts"]
    assert {(one["item"]["id"], one["given"], one["looks_like"]) for one in found} == {
        (str(lacking), None, "rude"),
        (str(extra), "rude", None),
        (str(empty), None, "spam"),
    }
    html = as_person(desk.cast.rita).get("/p/forum/learning/doubts/").content.decode()
    assert "not “rude”" in html
    Resolution.objects.filter(item=extra).update(choices=[])
    left = enzo.get("projects/forum/label-errors").json()["doubts"]
    assert {one["item"]["id"] for one in left} == {str(lacking), str(empty)}


def test_a_batch_that_has_a_choice_more_often_is_told(make_desk: MakeDesk) -> None:
    desk = tag_desk(make_desk)
    for at, text in enumerate(SETS):
        add(desk, 20, text, f"ref{at}", split=Item.Split.HOLDOUT)
    teach(desk)
    play(desk, batch=1)
    add(desk, 60, RUDE, "new", split=Item.Split.HOLDOUT)
    enzo = Api(desk.cast.enzo)
    run_job(int(enzo.post("projects/forum/drift", {}).json()["job"]), heartbeat_seconds=600)
    found = enzo.get("projects/forum/drift").json()
    assert found["reference"]["shares"] == {"spam": 0.5, "rude": 0.5, "loud": 0}
    (batch,) = [one for one in found["batches"] if one["n_items"] == 60]
    assert batch["shares"] == {"spam": 0, "rude": 1, "loud": 0}
    assert "choices" in batch["alarms"]


def test_a_language_model_is_not_asked_for_sets_and_the_page_says_so(make_desk: MakeDesk, settings: Any) -> None:
    settings.LLM_URL, settings.LLM_MODEL = "https://llm.example/v1", "wise-1"
    desk = tag_desk(make_desk)
    refused = Api(desk.cast.enzo).post("projects/forum/llm", {})
    assert refused.status_code == 400
    sentence = "A language model is asked questions with one answer: a single choice or a rating."
    assert refused.json()["fields"]["question"] == sentence
    assert sentence in as_person(desk.cast.enzo).get("/p/forum/learning/llm/").content.decode()


# Sent in


def test_probabilities_of_choices_stand_each_by_itself(desk: Desk) -> None:
    names = open_names(desk)
    result = send_predictions(
        desk,
        [
            {"external_id": names[0], "proba": {"spam": 0.9, "rude": 0.8}},
            {"external_id": names[1], "answers": {"verdict": ["loud"]}},
            {"external_id": names[2], "answers": {"verdict": []}},
            {"external_id": names[3], "proba": {"spam": 1.2}},
            {"external_id": names[3], "proba": {"ham": 0.2}},
            {"external_id": names[3], "answers": {"verdict": "spam"}},
        ],
    )
    assert (result["accepted"], result["rejected"]) == (3, 3)
    assert [error["reason"] for error in result["errors"]] == [
        'The probability of "spam" must be a number from 0 to 1.',
        '"ham" is not one of the choices.',
        "The answer must be a list of choices.",
    ]
    said = {score.item.external_id: score for score in Score.objects.select_related("item")}
    assert {name: (one.proba, one.choices) for name, one in said.items()} == {
        names[0]: ([0.9, 0.8, 0], [1, 2]),
        names[1]: ([0, 0, 1], [3]),
        names[2]: ([0, 0, 0], []),
    }
    assert said[names[0]].probability == pytest.approx(0.8)  # of the least sure part of what it says
    assert said[names[0]].utility == pytest.approx(0.4)
    assert ModelVersion.objects.get(is_current=True).name == "llm"


def test_a_model_of_sets_may_not_vote(desk: Desk) -> None:
    send_predictions(desk, [{"external_id": open_names(desk)[0], "answers": {"verdict": ["spam"]}}])
    assert names_of(desk.project) == []


# At the desk


def test_people_answer_a_round_learns_and_the_next_lease_shows_what_it_says(make_desk: MakeDesk) -> None:
    desk = tag_desk(make_desk, overlap=2, max_held=50, suggestions=True, blind_share=0.1)
    chosen = {item: some for at, (text, some) in enumerate(SETS.items()) for item in add(desk, 4, text, f"p{at}")}
    for name in ("alice", "bob"):
        for raw in desk.lease(name, len(chosen)).leases:
            desk.submit(name, raw, {"verdict": chosen[raw["item"]]})
    told = Resolution.objects.filter(state=Resolution.State.AGREED).values_list("item", "choices")
    numbers = {"spam": 1, "rude": 2}
    assert dict(told) == {item: [numbers[one] for one in some] for item, some in chosen.items()}
    (fresh,) = add(desk, 1, BOTH, "new")
    enzo = Api(desk.cast.enzo)
    started = enzo.post("projects/forum/rounds", {"batch": 1, "strategy": "adaptive"})
    run_job(int(started.json()["job"]), heartbeat_seconds=600)
    desk.lease_one("carol")  # by the chance of the tests, which shows it
    (lease,) = Api(desk.cast.carol).lease()
    assert lease["item"]["id"] == str(fresh)
    assert lease["item"]["suggestion"]["answers"] == {"verdict": ["spam", "rude"]}
    assert enzo.get("projects/forum/models").json()["results"][0]["n_train"] == len(chosen)


def say(desk: Desk, *chosen: str) -> None:
    names = Item.objects.filter(project=desk.project, lifecycle=Item.Lifecycle.OPEN).values_list(
        "external_id", flat=True
    )
    send_predictions(desk, [{"external_id": name, "answers": {"verdict": list(chosen)}} for name in names])


@pytest.mark.parametrize(
    ("required", "chosen", "shown"),
    [(False, ["spam", "loud"], ["spam", "loud"]), (False, [], []), (True, ["rude"], ["rude"])],
)
def test_the_set_that_a_model_says_is_suggested(
    make_desk: MakeDesk, required: bool, chosen: list[str], shown: list[str]
) -> None:
    desk = tag_desk(make_desk, {**TAGS, "required": required}, suggestions=True, blind_share=0.1)
    add(desk, 3, NOTHING, "w")
    say(desk, *chosen)
    told = show_lease(desk.lease_one("alice"), desk.access("alice"))["item"]["suggestion"]
    assert told == {"model": "llm 1", "answers": {"verdict": shown}, "score": 1.0}


def test_nothing_is_suggested_where_an_answer_is_required_and_a_model_says_none(make_desk: MakeDesk) -> None:
    desk = tag_desk(make_desk, {**TAGS, "required": True}, suggestions=True, blind_share=0.1)
    add(desk, 6, NOTHING, "open", ["loud"])
    add(desk, 6, SPAM, "openspam", ["spam"])
    add(desk, 3, "zebra zebra", "opennew")
    play(desk, batch=1)
    Score.objects.update(choices=[])
    assert desk.lease_one("alice")["suggestion"] is None
    assert Seat.objects.get(person=desk.cast.alice).arm == Seat.Arm.NONE


def test_following_a_suggestion_is_answering_the_whole_set(make_desk: MakeDesk) -> None:
    desk = tag_desk(make_desk, suggestions=True, blind_share=0.1, max_held=50)
    add(desk, 50, NOTHING, "w")
    say(desk, "spam", "loud")
    for number, raw in enumerate(desk.lease("alice", 45).leases):
        desk.submit("alice", raw, {"verdict": ["loud", "spam"] if number % 2 else ["spam"]})
    (question,) = learnable_questions(desk.project)
    figures = {figure["metric"]: figure for figure in anchoring(desk.project, question)["metrics"]}
    followed = Annotation.objects.filter(
        seat__arm=Seat.Arm.SHOWN, labels__choices=classes_of(question)[::2], source="human"
    ).count()
    shown = figures["agreement_shown"]
    assert shown["n_labels"] > 30
    assert shown["value"] == pytest.approx(followed / shown["n_labels"])
    assert 0.3 < shown["value"] < 0.7


def test_sets_are_no_choices_once_the_question_is_one(make_desk: MakeDesk) -> None:
    desk = tag_desk(make_desk, suggestions=True, blind_share=0.1)
    add(desk, 3, NOTHING, "w")
    say(desk, "spam")
    single = {**TAGS, "kind": "choice"}
    projects.put_schema(
        project=desk.project,
        schema={"questions": [single]},
        map={"verdict": {"spam": "spam", "rude": "rude", "loud": "loud"}},
        actor=desk.cast.olga,
    )
    assert desk.lease_one("alice")["suggestion"] is None
